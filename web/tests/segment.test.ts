import { expect, test } from "vitest";

import type { Message } from "../src/player/messages";
import { Segment } from "../src/player/segment";

const SECOND = 1_000_000_000n;
const COST = 120 + 10;

/** A frame a second, each tenth of them a key frame. */
const frame = (second: number): Message => ({ ...other("/video", second), isDelta: second % 10 !== 0 });
const frames = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => frame(from + i));

function other(topic: string, second: number): Message {
  const channel = { topic, messageEncoding: "json", schema: undefined };
  return { channel, logTime: BigInt(second) * SECOND, data: new Uint8Array(10) };
}

const at = (second: number) => BigInt(second) * SECOND;
const seconds = (run: readonly Message[]) => run.map(({ logTime }) => Number(logTime / SECOND));

/** As after a seek to second 15. */
function sought(): Segment {
  const segment = new Segment(at(15), ["/video", "/slow"]);
  segment.add([other("/slow", 12), ...frames(10, 20)]);
  segment.reach(at(21));
  return segment;
}

test("a video is kept from the key frame before the seek on, and counted", () => {
  const segment = sought();
  expect(seconds(segment.runAt("/video", at(15)))).toEqual([10, 11, 12, 13, 14, 15]);
  expect(seconds(segment.runAt("/video", at(20)))).toEqual([20]);
  expect(seconds(segment.runAt("/slow", at(20)))).toEqual([12]);
  expect(segment.runAt("/none", at(20))).toEqual([]);
  expect(segment.bytes).toBe(12 * COST);
});

test("back to what was newest before the seek, everything is in hand", () => {
  const segment = sought();
  expect(segment.from).toBe(at(12));
  expect(segment.covers(at(12))).toBe(true);
  expect(segment.timeBefore(at(15), ["/video", "/slow"])).toBe(at(14));
  expect(segment.timeBefore(at(12), ["/video", "/slow"])).toBeUndefined();
  expect(seconds(segment.runAt("/video", at(12)))).toEqual([10, 11, 12]);
  const video = new Segment(at(15), ["/video"]);
  video.add(frames(10, 16));
  expect(video.from).toBe(at(10));
});

test("what is before a seek is not in hand until all of it has come", () => {
  const segment = new Segment(at(15), ["/video"]);
  segment.add(frames(10, 14));
  expect(segment.covers(at(14))).toBe(false);
  // The stream broke off: it comes again.
  segment.cutAtEnd();
  expect(segment.bytes).toBe(0);
  segment.add(frames(10, 17));
  segment.cutAtEnd();
  expect(segment.looksBack).toBe(false);
  segment.add(frames(17, 18));
  expect(seconds(segment.runAt("/video", at(18)))).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18]);
});

test("what is forgotten ends at a key frame", () => {
  const segment = sought();
  segment.add(frames(21, 27));
  segment.reach(at(28));
  segment.forgetBefore(at(25));
  expect(seconds(segment.runAt("/video", at(26)))).toEqual([20, 21, 22, 23, 24, 25, 26]);
  expect(segment.bytes).toBe(9 * COST);
  expect(segment.from).toBe(at(20));
});

test("a video without key frames takes no more than its share", () => {
  const segment = new Segment(at(0), ["/video"]);
  const large = new Uint8Array(1024 * 1024);
  for (let i = 0; i < 200; i++) segment.add([{ ...frame(1), logTime: at(i), data: large }]);
  segment.reach(at(200));
  segment.forgetBefore(at(150));
  expect(segment.runAt("/video", at(149)).length).toBeLessThanOrEqual(65);
  expect(segment.bytes).toBeLessThan((65 + 51) * (large.length + 120));
});
