import { expect, test } from "vitest";

import type { Topic } from "../src/api/loader";
import { defaultPanels, panelFor, stretchOf } from "../src/views/choices";
import { parseLink } from "../src/lib/link";
import { pythonFor, quoted } from "../src/views/commands";
import { hexDump } from "../src/views/hex_dump";
import { clock, duration, size, words } from "../src/views/words";

const topic = (name: string, schemaName: string | null): Topic => ({
  name,
  schemaName,
  messageEncoding: "cdr",
  schemaEncoding: "ros2msg",
  schemaData: null,
  messageCount: null,
  ranges: [],
});

test("a topic is opened as what it is", () => {
  expect(panelFor(topic("/a", "sensor_msgs/msg/CompressedImage")).kind).toBe("image");
  expect(panelFor(topic("/a", "foxglove.RawImage")).kind).toBe("image");
  expect(panelFor(topic("/a", "rcl_interfaces/msg/Log")).kind).toBe("log");
  expect(panelFor(topic("/a", "demo.MyImage")).kind).toBe("raw");
  expect(panelFor(topic("/a", null)).kind).toBe("raw");
});

test("logs of a long recording are not read unasked", () => {
  const topics = [topic("/log", "foxglove.Log"), topic("/imu", "a.Imu"), topic("/odom", "a.Odometry")];
  const kinds = (end: bigint) => defaultPanels(topics, { start: 0n, end }).map((panel) => panel.kind);
  expect(kinds(60_000_000_000n)).toEqual(["raw", "log"]);
  expect(kinds(3_600_000_000_000n)).toEqual(["raw"]);
  expect(defaultPanels(topics, { start: 0n, end: 1n })[0]).toEqual({ kind: "raw", topic: "/odom" });
});

test("a stretch that ends before it starts is none", () => {
  const range = { start: 10n, end: 20n };
  expect(stretchOf(parseLink("?start=12"), range)).toEqual({ start: 12n, end: 20n });
  expect(stretchOf(parseLink("?start=15&end=12"), range)).toBeUndefined();
  expect(stretchOf(parseLink("?at=15"), range)).toBeUndefined();
});

test("commands survive what links hold", () => {
  expect(quoted("a'b")).toBe(`'a'\\''b'`);
  expect(pythonFor('http://a/?x="y"')).toContain('url = "http://a/?x=\\"y\\""');
});

test("times and sizes are legible", () => {
  expect(clock(1_769_851_800_012_999_999n)).toBe("09:30:00.012");
  expect([duration(62.345), duration(3602), duration(-1)]).toEqual(["1:02.345", "1:00:02.000", "−0:01.000"]);
  expect([size(999), size(1000), size(123_456), size(2_500_000)]).toEqual(["999 B", "1.0 kB", "123 kB", "2.5 MB"]);
  expect(words({ words: "", status: 401 }).what).toBe("sign-in");
  expect(hexDump(Uint8Array.of(65, 0, 255))).toMatch(/^0000 {2}41 00 ff +A··$/);
});
