import { afterEach, expect, test, vi } from "vitest";

import { formatNanos, parseNanos } from "../src/lib/nanos";
import { firstWhere } from "../src/lib/search";
import { store, stored } from "../src/lib/storage";
import { formatPath, numberAt, parsePath } from "../src/player/path";
import { Series } from "../src/player/series";
import { toRgba, pictureIn } from "../src/player/images";
import { logLine } from "../src/player/logs";

afterEach(() => void vi.unstubAllGlobals());

test("times keep their nanoseconds", () => {
  const time = parseNanos("2026-01-31T09:30:00.000000001Z");
  expect(time).toBe(1_769_851_800_000_000_001n);
  expect(formatNanos(1_769_851_800_000_000_001n)).toBe("2026-01-31T09:30:00.000000001Z");
  expect(parseNanos("2026-01-31T10:30:00.5+01:00")).toBe(1_769_851_800_500_000_000n);
  expect(parseNanos("1769851800000000001")).toBe(time);
  expect(parseNanos("yesterday")).toBeUndefined();
});

test("paths lead to numbers", () => {
  const message = { pose: { x: 1.5 }, list: [{ ok: true }], data: new Float32Array([1, 2]), n: 7n };
  const at = (path: string) => numberAt(message, parsePath(path) ?? []);
  expect([at("pose.x"), at("list[0].ok"), at("data[1]"), at("n")]).toEqual([1.5, 1, 2, 7]);
  expect([at("pose"), at("pose.y"), at("list[7].ok"), at("toString")]).toEqual(Array(4).fill(undefined));
  expect(formatPath(parsePath("list[0].ok") ?? [])).toBe("list[0].ok");
  expect(parsePath("a[x]")).toBeUndefined();
});

test("a series keeps its extremes in bounded memory", () => {
  const series = new Series(0n, 1_000_000n, 0n);
  for (let i = 0; i < 200_000; i++) {
    series.add(BigInt(i * 5), i === 77_777 ? 9 : i === 99_999 ? -9 : Math.sin(i));
  }
  const { times, values } = series.line();
  expect(times.length).toBeLessThanOrEqual(4 * 2048);
  expect([Math.max(...values), Math.min(...values)]).toEqual([9, -9]);
  expect([...times]).toEqual([...times].sort((a, b) => a - b));
});

test("a series of few values is exact", () => {
  const series = new Series(0n, 10n, 0n);
  [3, 1, 2].forEach((value, i) => series.add(BigInt(i * 2), value));
  expect([...series.line().values]).toEqual([3, 1, 2]);
});

test("what is no number leaves a series as it was, and is counted", () => {
  const series = new Series(0n, 1_000_000n, 0n);
  for (let i = 0; i < 10_000; i++) series.add(BigInt(i), i % 10 === 0 ? [NaN, Infinity, -Infinity][i % 3]! : i);
  const { times, values, notFinite } = series.line();
  expect(notFinite).toBe(1000);
  expect(times).toHaveLength(values.length);
  expect(values.every(Number.isFinite)).toBe(true);
  expect([Math.min(...values), Math.max(...values)]).toEqual([1, 9999]);
});

test("raw pictures become RGBA", () => {
  expect([...toRgba(Uint8Array.of(1, 2, 3, 0), 1, 1, "bgr8", 4, false)]).toEqual([3, 2, 1, 255]);
  expect([...toRgba(Uint8Array.of(7, 8), 2, 1, "mono8", 0, false)]).toEqual([7, 7, 7, 255, 8, 8, 8, 255]);
  const depth = new Uint8Array(Uint16Array.of(100, 300).buffer);
  expect([...toRgba(depth, 2, 1, "16UC1", 4, false)]).toEqual([0, 0, 0, 255, 255, 255, 255, 255]);
  expect(() => toRgba(Uint8Array.of(1), 2, 2, "rgb8", 6, false)).toThrow("does not fit");
  expect(() => toRgba(Uint8Array.of(1), 1, 1, "bayer_rggb8", 1, false)).toThrow("bayer_rggb8");
});

test("compressed pictures say what they are", () => {
  const picture = (format: string) => pictureIn({ format, data: Uint8Array.of(1) });
  expect(picture("rgb8; png compressed bgr8")).toMatchObject({ kind: "compressed", type: "image/png" });
  expect(picture("jpeg")).toMatchObject({ type: "image/jpeg" });
  expect(() => pictureIn({ x: 1 })).toThrow("no picture");
});

test("log messages of each kind have their level", () => {
  const level = (schema: string, level: unknown) => logLine(0n, "/log", schema, { level }).level;
  expect(level("foxglove.Log", "WARNING")).toBe("warning");
  expect(level("foxglove.Log", 4)).toBe("error");
  expect(level("rosgraph_msgs/Log", 8)).toBe("error");
  expect(level("rcl_interfaces/msg/Log", 30)).toBe("warning");
});

test("a browser that keeps nothing is as good as one that has nothing", () => {
  const kept = new Map<string, string>();
  vi.stubGlobal("localStorage", {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => kept.set(name, value),
    removeItem: (name: string) => kept.delete(name),
  });
  store("localStorage", "a", "1");
  expect([stored("localStorage", "a"), stored("localStorage", "b")]).toEqual(["1", undefined]);
  store("localStorage", "a");
  expect(stored("localStorage", "a")).toBeUndefined();
  const refuse = () => {
    throw new DOMException("denied", "SecurityError");
  };
  Object.defineProperty(globalThis, "sessionStorage", { get: refuse, configurable: true });
  store("sessionStorage", "a", "1");
  expect(stored("sessionStorage", "a")).toBeUndefined();
  Reflect.deleteProperty(globalThis, "sessionStorage");
});

test("what is sorted is searched by halves", () => {
  const list = [1, 3, 3, 7];
  const found = [0, 1, 3, 7, 8].map((least) => firstWhere(list, (one) => one >= least));
  expect(found).toEqual([0, 0, 1, 3, 4]);
  expect(firstWhere([], () => true)).toBe(0);
  let looks = 0;
  firstWhere({ length: 1_000_000 }, () => ++looks < 0);
  expect(looks).toBeLessThan(21);
});
