import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

import { CdrWriter, EncapsulationKind } from "@foxglove/cdr";
import { parse } from "@foxglove/rosmsg";
import { MessageWriter } from "@foxglove/rosmsg2-serialization";
import { expect, test } from "vitest";

import { type Decode, decoderOf } from "../src/player/decode";
import type { Channel } from "../src/player/messages";

const DEFINITION = `string name
Point[] points
float32[] ranges
uint8[2] pair
bool ok
int64 big
================================================================================
MSG: demo/Point
float64 x
float64 y
`;

const MESSAGE = {
  name: "zürich",
  points: [{ x: 1.5, y: -2 }],
  ranges: new Float32Array([0.5, 4]),
  pair: new Uint8Array([7, 8]),
  ok: true,
  big: -5n,
};

function channel(messageEncoding: string, encoding: string, name: string, data: Uint8Array | string): Channel {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  return { topic: "/t", messageEncoding, schema: { name, encoding, data: bytes } };
}

test("ROS 2 messages are decoded", async () => {
  const decode = (await decoderOf(channel("cdr", "ros2msg", "demo/msg/Scan", DEFINITION))) as Decode;
  // The writer counts letters where it should count bytes.
  const message = { ...MESSAGE, name: "Zug" };
  const data = new MessageWriter(parse(DEFINITION, { ros2: true })).writeMessage(message);
  expect(decode(data)).toEqual(message);
});

const IDL = `================================================================================
IDL: demo/msg/Scan
// generated from rosidl_adapter/resource/msg.idl.em
#include "builtin_interfaces/msg/Time.idl"
#include "demo/msg/Point.idl"

module demo {
  module msg {
    module Scan_Constants {
      const int8 FRONT = 1;
    };
    typedef uint8 uint8__2[2];
    @verbatim (language="comment", text=
      "What is seen, and when.")
    struct Scan {
      builtin_interfaces::msg::Time stamp;
      string name;
      sequence<demo::msg::Point> points;
      @unit (value="m")
      sequence<float> ranges;
      uint8__2 pair;
      boolean ok;
      int64 big;
    };
  };
};

================================================================================
IDL: builtin_interfaces/msg/Time
module builtin_interfaces {
  module msg {
    struct Time {
      int32 sec;
      uint32 nanosec;
    };
  };
};

================================================================================
IDL: demo/msg/Point
module demo {
  module msg {
    struct Point {
      double x;
      double y;
    };
  };
};
`;

test("ROS 2 messages are decoded by IDL as by .msg", async () => {
  const { name: _, ...rest } = MESSAGE;
  const message = { stamp: { sec: 7, nanosec: 500 }, name: "Zug", ...rest };
  const definition = `builtin_interfaces/Time stamp\n${DEFINITION}`;
  const data = new MessageWriter(parse(definition, { ros2: true })).writeMessage(message);
  const byMsg = (await decoderOf(channel("cdr", "ros2msg", "demo/msg/Scan", definition))) as Decode;
  const byIdl = (await decoderOf(channel("cdr", "ros2idl", "demo/msg/Scan", IDL))) as Decode;
  expect(byIdl(data)).toEqual(message);
  expect(byIdl(data)).toEqual(byMsg(data));
  expect(() => byIdl(data.subarray(0, 20))).toThrow();
});

test("messages by the OMG's IDL are decoded, in XCDR2, too", async () => {
  const idl = "module demo { @mutable struct Pose { @id(1) double x; @id(2) @optional string frame; }; };";
  const writer = new CdrWriter({ kind: EncapsulationKind.PL_CDR2_LE });
  writer.dHeader(0); // How long it is, which the reader does not ask.
  writer.emHeader(true, 1, 8).float64(1.5);
  writer.emHeader(true, 2, 4 + 4).string("map");
  const decode = (await decoderOf(channel("cdr", "omgidl", "demo::Pose", idl))) as Decode;
  expect(decode(writer.data)).toEqual({ x: 1.5, frame: "map" });
  expect(await decoderOf(channel("cdr", "omgidl", "demo::Other", idl))).toMatchObject({
    why: expect.stringContaining("demo::Other"),
  });
});

test("ROS 1 messages are decoded, wherever their bytes lie", async () => {
  const decode = (await decoderOf(channel("ros1", "ros1msg", "demo/Scan", DEFINITION))) as Decode;
  const text = new TextEncoder().encode(MESSAGE.name);
  const data = Buffer.alloc(1 + 4 + text.length + 4 + 16 + 4 + 8 + 2 + 1 + 8);
  let at = data.writeUInt32LE(text.length, 1);
  data.set(text, at);
  at = data.writeUInt32LE(1, at + text.length);
  at = data.writeDoubleLE(-2, data.writeDoubleLE(1.5, at));
  at = data.writeUInt32LE(2, at);
  at = data.writeFloatLE(4, data.writeFloatLE(0.5, at));
  at = data.writeUInt8(8, data.writeUInt8(7, at));
  at = data.writeUInt8(1, at);
  data.writeBigInt64LE(-5n, at);
  expect(decode(data.subarray(1))).toEqual(MESSAGE);
  expect(() => decode(data.subarray(1, 20))).toThrow("shorter than its schema");
});

test("FlatBuffers are decoded: the schema of schemas, by itself", async () => {
  const path = createRequire(import.meta.url).resolve("flatbuffers_reflection");
  const root = path.slice(0, path.indexOf("flatbuffers_reflection/") + "flatbuffers_reflection/".length);
  const data = new Uint8Array(await readFile(`${root}src/reflection.bfbs`));
  const decode = (await decoderOf(channel("flatbuffer", "flatbuffer", "reflection.Schema", data))) as Decode;
  const { objects } = decode(data) as { objects: { name: string }[] };
  expect(objects.map(({ name }) => name)).toContain("reflection.Field");
});

test("what cannot be decoded says why", async () => {
  const why = async (channel: Channel) => (await decoderOf(channel)) as { why: string };
  expect(await why({ topic: "/t", messageEncoding: "", schema: undefined })).toEqual({
    why: "nothing here reads an unnamed encoding without a schema",
  });
  expect((await why(channel("xml", "xsd", "a", ""))).why).toContain("reads xml with a schema in xsd");
  expect((await why(channel("protobuf", "protobuf", "a.B", Uint8Array.of(255)))).why).toContain("its schema");
});
