import { expect, test } from "vitest";

import { type Recording, Refused, type Source, type Topic } from "../src/api/loader";
import { failureOf } from "../src/player/failure";
import {
  defaultPanels,
  laneTopics,
  panelFor,
  type Range,
  rangeOf,
  roughly,
  stretchOf,
} from "../src/views/choices";
import { parseLink } from "../src/lib/link";
import { pythonFor, quoted } from "../src/views/commands";
import { hexDump } from "../src/views/hex_dump";
import { bands, KnownSpans, told } from "../src/views/spans";
import { clock, clockIn, duration, size, whyNothing, words } from "../src/views/words";

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
  expect(panelFor(topic("/a", "foxglove_msgs/msg/CompressedVideo")).kind).toBe("image");
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

test("what lies outside of the recording is not selected", () => {
  const range = { start: 10n, end: 20n };
  expect(stretchOf(parseLink("?start=5&end=15"), range)).toEqual({ start: 10n, end: 15n });
  expect(stretchOf(parseLink("?start=15&end=99"), range)).toEqual({ start: 15n, end: 20n });
  expect(stretchOf(parseLink("?start=30&end=99"), range)).toBeUndefined();
  expect(stretchOf(parseLink("?end=9"), range)).toBeUndefined();
});

const source = (more: Partial<Source>): Source => ({
  id: "s",
  kind: "streamed",
  state: "loading",
  start: null,
  end: null,
  loadedUntil: null,
  bytes: null,
  messageCount: null,
  error: null,
  ...more,
});

test("a recording is as long as is known of it", () => {
  const at = (second: number) => `2026-01-31T09:30:${String(second).padStart(2, "0")}Z`;
  const seconds = (recording: Pick<Recording, "start" | "end" | "sources">) => {
    const { start, end } = rangeOf(recording);
    return Number(end - start) / 1e9;
  };
  const sources = [source({ start: at(0), loadedUntil: at(12) }), source({ start: at(3), end: at(9) })];
  expect(seconds({ start: at(0), end: null, sources })).toBe(12);
  expect(seconds({ start: at(0), end: at(5), sources })).toBe(5);
  expect(seconds({ start: at(2), end: null, sources: [source({})] })).toBe(0);
});

test("work over all of a recording that grows begins anew few times", () => {
  let before: Range | undefined;
  const seen = new Set<bigint>();
  for (let end = 0n; end <= 1000n; end++) {
    before = roughly({ start: 0n, end }, before);
    seen.add(before.end);
  }
  expect(seen.size).toBeLessThan(13);
  expect(roughly({ start: 1n, end: 1001n }, before)).toEqual({ start: 1n, end: 1001n });
});

test("it is said why a recording shows nothing", () => {
  expect(whyNothing({ sources: [], problems: [] })[0]).toContain("lists no sources");
  expect(whyNothing({ sources: [source({ state: "cached" })], problems: [] })).toEqual(["Its sources have no messages."]);
  const failed = [source({ id: "camera", state: "failed", error: "404" }), source({ state: "pending" })];
  const problem = { message: "it is cut off", source: "lidar" } as Recording["problems"][number];
  expect(whyNothing({ sources: failed, problems: [problem] })).toEqual([
    "camera: 404",
    "The loader did not get to 1 of 2 sources.",
    "lidar: it is cut off",
  ]);
});

test("the day is said where there are several", () => {
  const [time, day] = [1_769_851_800_000_000_000n, 86_400_000_000_000n];
  expect(clockIn(time, { start: time, end: time + 1n })).toBe("09:30:00.000");
  expect(clockIn(time + day, { start: time, end: time + day })).toBe("2026-02-01 09:30:00.000");
});

test("commands survive what links hold", () => {
  expect(quoted("a'b")).toBe(`'a'\\''b'`);
  expect(pythonFor('http://a/?x="y"')).toContain('URL = "http://a/?x=\\"y\\""');
});

test("a failure says where to sign in, as the loader did", () => {
  const failure = failureOf(new Refused(401, "token-expired", "Sign in.", undefined, "/oauth/login"));
  expect(failure).toEqual({ words: "Sign in.", status: 401, code: "token-expired", loginUrl: "/oauth/login" });
  expect(failureOf(new Error("no"))).toEqual({ words: "no" });
});

test("times and sizes are legible", () => {
  expect(clock(1_769_851_800_012_999_999n)).toBe("09:30:00.012");
  expect([duration(62.345), duration(3602), duration(-1)]).toEqual(["1:02.345", "1:00:02.000", "−0:01.000"]);
  expect([size(999), size(1000), size(123_456), size(2_500_000)]).toEqual(["999 B", "1.0 kB", "123 kB", "2.5 MB"]);
  expect(words({ words: "", status: 401 }).what).toBe("sign-in");
  expect(hexDump(Uint8Array.of(65, 0, 255))).toMatch(/^0000 {2}41 00 ff +A··$/);
});

const span = (from: number, to: number) => ({ start: BigInt(from * 1e9), end: BigInt(to * 1e9) });
const written = (from: number, to: number) => ({
  start: new Date(from * 1000).toISOString(),
  end: new Date(to * 1000).toISOString(),
});

test("a topic with several schemas has the data of all of them", () => {
  const ranges = [[written(5, 6), written(8, 9)], [written(0, 1), written(6, 7)], []];
  const topics = ranges.map((ranges) => ({ name: "/a", ranges }));
  const known = new KnownSpans();
  const spans = known.of(topics);
  expect([...spans]).toEqual([["/a", [span(0, 1), span(5, 7), span(8, 9)]]]);
  expect(known.of([...topics]).get("/a")).toBe(spans.get("/a"));
  // What was given before may be written into.
  topics[0]?.ranges.splice(0);
  expect(known.of(topics).get("/a")).toEqual([span(0, 1), span(6, 7)]);
});

test("data is drawn where it is, however little it is", () => {
  expect(bands([], span(0, 10))).toBe("none");
  const drawn = bands([span(0, 2.5), span(10, 10)], span(0, 10));
  expect(drawn).toBe(
    "linear-gradient(90deg, transparent 0 min(0%, 100% - 2px), currentColor 0 max(25%, 0% + 2px), " +
      "transparent 0 min(100%, 100% - 2px), currentColor 0 max(100%, 100% + 2px), transparent 0)",
  );
  // What lies outside of the times that are known, and a recording of one moment.
  expect(bands([span(0, 90)], span(10, 20))).toContain("min(0%, 100% - 2px), currentColor 0 max(100%, 0% + 2px)");
  expect(bands([span(1, 1)], span(1, 1))).toContain("min(0%, 100% - 2px), currentColor 0 max(0%, 0% + 2px)");
});

test("data is said in a few words, with the day where there are several", () => {
  const all = span(0, 10);
  expect(told([], all)).toBe("no data that is known of");
  expect(told([span(1, 2), span(4, 4)], all)).toBe("data from 00:00:01.000 to 00:00:02.000, at 00:00:04.000");
  expect(told([0, 2, 4, 6, 8].map((at) => span(at, at)), all)).toMatch(/^data at .* 00:00:04.000, and 2 times more$/);
  const day = 86_400;
  expect(told([span(1, day + 1)], span(0, 2 * day))).toBe(
    "data from 1970-01-01 00:00:01.000 to 1970-01-02 00:00:01.000",
  );
});

test("what is open has a lane, and then what is selected", () => {
  const panels = parseLink("?panel=plot:/b.x%20/a.y%20/gone.z&panel=raw:/a&panel=log:/log").panels ?? [];
  expect(laneTopics(panels, ["/c", "/b", "/no"], ["/a", "/b", "/c", "/log"])).toEqual(["/b", "/a", "/log", "/c"]);
});
