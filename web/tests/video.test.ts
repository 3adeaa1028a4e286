import { expect, test } from "vitest";

import type { Batch, Message } from "../src/player/messages";
import { missingOf } from "../src/player/missing";
import { isVideoSchema, unitIn, withDeltas } from "../src/player/video";
import { FORMATS } from "../src/player/video/formats";
import { framesOf, VIDEO, videoMessage } from "./frames";

test.each([
  ["h264", "h264", "avc1.4d400a"],
  ["h265", "h265", "hev1.1.6.L30.90"],
  ["vp9", "vp9.ivf", "vp09.00.10.08"],
  ["av1", "av1.ivf", "av01.0.00M.08"],
] as const)("key frames of %s are told, with the name of the codec", async (format, file, codec) => {
  const frames = await framesOf(file);
  expect(frames).toHaveLength(30);
  const looks = frames.map((frame) => FORMATS[format]?.look(frame));
  expect(looks).toEqual(
    frames.map((_, n) => (n % 10 === 0 ? { isKey: true, codec } : { isKey: false, codec: undefined })),
  );
});

test("whatever is no frame is no key frame", async () => {
  const broken = [[], [0], [0, 0, 1], [0, 0, 1, 0x67], [0, 0, 1, 0x42, 1], Array<number>(40).fill(255)];
  for (const { look } of Object.values(FORMATS)) {
    for (const data of broken) expect(look(Uint8Array.from(data)).isKey, String(data)).toBe(false);
  }
  const [key = new Uint8Array()] = await framesOf("h264");
  const withoutSets = key.subarray(key.findIndex((_, at) => key[at + 2] === 1 && ((key[at + 3] ?? 0) & 31) === 5));
  expect(FORMATS["h264"]?.look(withoutSets)).toEqual({ isKey: true, codec: undefined });
});

test("messages are videos by their schema, and say what they are not", () => {
  for (const name of ["foxglove.CompressedVideo", "foxglove_msgs/msg/CompressedVideo", "foxglove::CompressedVideo"]) {
    expect(isVideoSchema(name)).toBe(true);
  }
  expect(isVideoSchema("sensor_msgs/msg/CompressedImage")).toBe(false);
  expect(() => unitIn({ format: "mjpeg", data: new Uint8Array(3) })).toThrow('video in "mjpeg" is not shown here');
  expect(() => unitIn({ format: "h264", data: new Uint8Array(0) })).toThrow("there is no frame");
});

test("frames that need others are marked as they come", async () => {
  const frames = await framesOf("h264");
  const messages = frames.slice(8, 12).map((frame, i) => videoMessage(i, frame));
  const other: Message = { channel: { ...VIDEO, schema: undefined }, logTime: 1n, data: new Uint8Array() };
  const broken: Message = { channel: VIDEO, logTime: 1n, data: Uint8Array.of(255) };
  const lacking = missingOf("something");
  async function* batches(): AsyncGenerator<Batch> {
    yield { messages: [...messages, other, broken], missing: [] };
    yield { messages: [other], missing: [lacking] };
  }
  const out: Batch[] = [];
  for await (const batch of withDeltas(batches())) out.push(batch);
  expect(out[0]?.messages.map(({ isDelta }) => isDelta)).toEqual([true, true, false, true, undefined, false]);
  expect(out[1]).toEqual({ messages: [other], missing: [lacking] });
});
