import { expect, test } from "vitest";

import { numberAt } from "../src/player/path";
import { type Clipped, type Fields, toTree, type Tree } from "../src/player/tree";
import { countNodes, isPlottable, leaf, legible, lengthOf, moreOf, partOf, stepsOf } from "../src/views/parts";

test("a tree keeps names as they are, in their order", () => {
  const message = JSON.parse('{"b": 1, "__proto__": {"x": 2}, "clipped": true, "head": [], "fields": 3, "more": 4}') as unknown;
  const tree = toTree(message) as Fields;
  expect(tree.fields).toEqual([
    ["b", 1],
    ["__proto__", { fields: [["x", 2]], more: 0 }],
    ["clipped", true],
    ["head", []],
    ["fields", 3],
    ["more", 4],
  ]);
  expect(stepsOf(tree)).toEqual(["b", "__proto__", "clipped", "head", "fields", "more"]);
  expect(stepsOf(partOf(tree, 1))).toEqual(["x"]);
  expect([leaf(partOf(tree, 3)), leaf(toTree({}))]).toEqual(["[]", "{}"]);
});

test("what is long is cut", () => {
  const tree = toTree({ data: new Uint8Array(1000), names: Array(500).fill("a"), odd: undefined }) as Fields;
  expect(tree.fields).toMatchObject([
    ["data", { clipped: "bytes", length: 1000 }],
    ["names", { clipped: "items", length: 500 }],
    ["odd", null],
  ]);
  const [data, names] = [partOf(tree, 0), partOf(tree, 1)];
  expect([stepsOf(data).length, leaf(data)]).toEqual([0, `1.0 kB: ${Array(16).fill("00").join(" ")} …`]);
  expect([stepsOf(names).length, moreOf(names), lengthOf(names)]).toEqual([100, 400, "[500]"]);
  const wide = toTree(Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`k${i}`, i])));
  expect([stepsOf(wide).length, moreOf(wide)]).toEqual([100, 49_900]);
});

test("a tree has a bounded number of nodes, however it is nested", () => {
  let message: unknown = 1;
  for (let i = 0; i < 4; i++) message = i % 2 === 0 ? Array(90).fill(message) : Object.fromEntries(Array(90).fill(0).map((_, n) => [`k${n}`, message]));
  const tree = toTree(message);
  expect(countNodes(tree, 1e9)).toBeLessThanOrEqual(5000 + 100);
  expect(countNodes(tree, 500)).toBeLessThanOrEqual(600);
  expect(moreOf(tree) + stepsOf(tree).length).toBe(90);
  let deep: unknown = 1;
  for (let i = 0; i < 10_000; i++) deep = [deep];
  expect(countNodes(toTree(deep), 1e9)).toBeLessThan(100);
});

test("no digit of a number is lost", () => {
  expect(leaf(1_769_851_805.75)).toBe("1769851805.75");
  expect(leaf(1_234_567)).toBe("1234567");
  expect(leaf(1_769_851_800_000_000_001n)).toBe("1769851800000000001");
  expect(leaf(0.1 + 0.2)).toBe("0.30000000000000004");
  expect(leaf(NaN)).toBe("NaN");
  const float32 = (value: number) => leaf(Math.fround(value));
  expect([float32(1.2), float32(-1e-7), float32(16_777_215), float32(1 / 3)]).toEqual(["1.2", "-1e-7", "16777215", "0.33333334"]);
  const list = partOf(toTree({ ranges: Float32Array.of(0.1, 2) }), 0) as Tree[];
  expect(list.map(leaf)).toEqual(["0.1", "2"]);
});

test("beside a plot nine digits stand, and whatever is before the point", () => {
  expect(legible(1_234_567)).toBe("1234567");
  expect(legible(12_345_678_901)).toBe("12345678901");
  expect(legible(1_769_851_805.75)).toBe("1769851805.75");
  expect(legible(0.123_456_789_012)).toBe("0.123456789");
  expect(legible(Math.fround(1.2))).toBe("1.2");
  expect([legible(1e300), legible(-0.5), legible(1e-12)]).toEqual(["1e+300", "-0.5", "1e-12"]);
});

test("times are numbers: of ROS 1, of ROS 2, of Protobuf", () => {
  const [sec, half] = [1_769_851_800, 500_000_000];
  const times = [{ sec, nsec: half }, { sec, nanosec: half }, { nanos: half, seconds: BigInt(sec) }];
  for (const stamp of times) {
    expect(numberAt({ header: { stamp } }, ["header", "stamp"])).toBe(1_769_851_800.5);
    expect(isPlottable(toTree(stamp))).toBe(true);
  }
  for (const other of [{ sec, nsec: "1" }, { sec }, { sec, nsec: half, x: 1 }, { seconds: sec, nsec: half }, [sec, half], null]) {
    expect(numberAt({ other }, ["other"])).toBeUndefined();
    expect(isPlottable(toTree(other))).toBe(false);
  }
});

test("a clipped list says how it begins", () => {
  const numbers = toTree(Array.from({ length: 200 }, (_, i) => i)) as Clipped;
  expect(numbers.clipped).toBe("items");
  expect(leaf(toTree(Float64Array.from({ length: 200 }, (_, i) => i / 2)))).toBe("200 numbers: 0 0.5 1 1.5 2 2.5 3 3.5 …");
});
