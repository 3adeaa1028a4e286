import { readFile } from "node:fs/promises";

import { McapWriter } from "@mcap/core";
import { expect, test } from "vitest";

import { decoderOf, type Decode } from "../src/player/decode";
import { type Batch, Channels, CutOff, type Message, readMessages } from "../src/player/messages";

const recorded = new URL("recorded/drive.mcap", import.meta.url);

function inPieces(data: Uint8Array, size: number): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= data.length) controller.close();
      else controller.enqueue(data.slice(at, (at += size)));
    },
  });
}

async function all(body: ReadableStream<Uint8Array>): Promise<Batch> {
  const whole: Batch = { messages: [], missing: [] };
  for await (const { messages, missing } of readMessages(body, new Channels())) {
    whole.messages.push(...messages);
    whole.missing.push(...missing);
  }
  return whole;
}

const plain = ({ channel, logTime, data }: Message) => [channel.topic, logTime, Buffer.from(data).toString("hex")];

test("a recorded stream is read the same in whatever pieces it comes", async () => {
  const data = await readFile(recorded);
  const whole = await all(inPieces(data, data.length));
  expect(whole.messages.filter(({ channel }) => channel.topic === "/odom")).toHaveLength(22);
  expect(whole.messages.filter(({ channel }) => channel.topic === "/imu")).toHaveLength(102);
  for (const size of [1, 1000]) {
    const { messages } = await all(inPieces(data, size));
    expect(messages.map(plain)).toEqual(whole.messages.map(plain));
  }
});

test("a stream that is cut off does not pass for a whole one", async () => {
  const data = await readFile(recorded);
  for (const length of [0, 100, data.length >> 1, data.length - 9]) {
    await expect(all(inPieces(data.subarray(0, length), 512))).rejects.toThrow(CutOff);
  }
});

test("what the loader left out is told", async () => {
  const parts: Uint8Array[] = [];
  let position = 0n;
  const write = async (part: Uint8Array) => {
    parts.push(part.slice());
    position += BigInt(part.length);
  };
  const writer = new McapWriter({ writable: { write, position: () => position } });
  await writer.start({ profile: "", library: "" });
  const lacks = [
    { code: "damaged-chunk", source: "lidar", chunk: "12", count: 1 },
    { code: "damaged-chunk", source: "lidar", count: 3, message: "chunk 7 at byte 9 is left out" },
    { code: "late-messages", source: "front", count: 7 },
    { code: "truncated-file", source: "rear", count: 1 },
    { code: "source-failed", source: "gps", count: 1, message: "it answered 502" },
    { code: "something-new", source: "gps", count: 2 },
  ];
  const metadata = new Map(lacks.map((one, i) => [`missing-${i + 1}`, JSON.stringify(one)]));
  metadata.set("missing-7", "no JSON");
  await writer.addMetadata({ name: "remote-data-loader", metadata });
  await writer.end();
  const told = await all(inPieces(Buffer.concat(parts), 64));
  expect(told.missing.map(({ words }) => words)).toEqual([
    "Chunk 12 of lidar is damaged and was left out",
    "3 damaged chunks of lidar were left out",
    "7 messages of front came too late to be put in order, and were left out",
    "rear ends early: what came after is not there",
    "gps failed and was left out: it answered 502",
    "something-new: gps (2)",
    "no JSON",
  ]);
  expect(told.missing[0]).toMatchObject({ code: "damaged-chunk", source: "lidar", chunk: "12" });
});

test("protobuf and JSON of the recorded stream are decoded", async () => {
  const { messages } = await all(inPieces(await readFile(recorded), 4096));
  const decoded = async (topic: string) => {
    const message = messages.find(({ channel }) => channel.topic === topic) as Message;
    return ((await decoderOf(message.channel)) as Decode)(message.data);
  };
  expect(await decoded("/odom")).toMatchObject({
    frame_id: "map",
    body_frame_id: "base_link",
    pose: { position: { z: 0 } },
    timestamp: { seconds: 1_769_851_809n },
  });
  expect(await decoded("/imu")).toMatchObject({ frame_id: "base_link" });
  expect(await decoded("/log")).toMatchObject({ name: "planner", level: expect.stringMatching(/INFO|WARNING/) });
});
