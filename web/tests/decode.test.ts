import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

import { CdrWriter, EncapsulationKind } from "@foxglove/cdr";
import { parse } from "@foxglove/rosmsg";
import { MessageWriter } from "@foxglove/rosmsg2-serialization";
import { Builder, ByteBuffer } from "flatbuffers";
import { Parser, Schema, Table } from "flatbuffers_reflection";
import * as generated from "flatbuffers_reflection/dist/cjs/reflection_generated.js";
import { expect, test } from "vitest";

import { type Decode, decoderOf, exactly } from "../src/player/decode";
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

test("FlatBuffers are decoded as the known library does it: the schema of schemas, by itself", async () => {
  const path = createRequire(import.meta.url).resolve("flatbuffers_reflection");
  const root = path.slice(0, path.indexOf("flatbuffers_reflection/") + "flatbuffers_reflection/".length);
  const data = new Uint8Array(await readFile(`${root}src/reflection.bfbs`));
  const decode = (await decoderOf(channel("flatbuffer", "flatbuffer", "reflection.Schema", data))) as Decode;
  const schema = Schema.getRootAsSchema(new ByteBuffer(data));
  const table = Table.getNamedTable(new ByteBuffer(data), schema, "reflection.Schema");
  // What is absent has no name there.
  const present = (_: string, value: unknown) => (typeof value === "bigint" ? `${value}n` : (value ?? undefined));
  const plain = (value: unknown) => JSON.parse(JSON.stringify(value, present)) as unknown;
  expect(plain(decode(data))).toEqual(plain(new Parser(schema).toObject(table, true)));
  // In the order of their ids, not of their names.
  const [first] = (decode(data) as { objects: object[] }).objects;
  expect(Object.keys(first ?? {}).slice(0, 5)).toEqual(["name", "fields", "is_struct", "minalign", "bytesize"]);
});

test("FlatBuffers of structs, arrays and scalars of all kinds are decoded", async () => {
  const { BaseType: Kind } = generated;
  const field = (name: string, id: number, at: number, type: InstanceType<typeof generated.TypeT>) =>
    new generated.FieldT(name, type, id, at, -1n, 1.5);
  const scalars = [Kind.Bool, Kind.Byte, Kind.UByte, Kind.Short, Kind.UShort, Kind.Int, Kind.UInt, Kind.Long, Kind.ULong, Kind.Float, Kind.Double];
  const all = scalars.map((kind, i) => field(Kind[kind] as string, i, 4 + 2 * i, new generated.TypeT(kind)));
  const inStruct = [
    field("time", 0, 0, new generated.TypeT(Kind.UInt)),
    field("pair", 1, 4, new generated.TypeT(Kind.Array, Kind.Short, -1, 2)),
  ];
  const of = (name: string, id: number, type: InstanceType<typeof generated.TypeT>) => field(name, id, 4 + 2 * id, type);
  const objects = [
    new generated.ObjectT("All", all),
    new generated.ObjectT("Pair", inStruct, true, 4, 8),
    new generated.ObjectT("Root", [
      of("all", 0, new generated.TypeT(Kind.Obj, Kind.None, 0)),
      of("pair", 1, new generated.TypeT(Kind.Obj, Kind.None, 1)),
      of("pairs", 2, new generated.TypeT(Kind.Vector, Kind.Obj, 1)),
      of("texts", 3, new generated.TypeT(Kind.Vector, Kind.String)),
      of("bits", 4, new generated.TypeT(Kind.Vector, Kind.Bool)),
      of("data", 5, new generated.TypeT(Kind.Vector, Kind.UByte)),
    ]),
  ];
  const builder = new Builder();
  builder.finish(new generated.SchemaT(objects, [], "", "", null, [], 0n as never, []).pack(builder));
  const schema = builder.asUint8Array().slice();

  builder.clear();
  const pair = (time: number, one: number, other: number) => {
    builder.prep(4, 8);
    builder.writeInt16(other);
    builder.writeInt16(one);
    builder.writeInt32(time);
    return builder.offset();
  };
  const texts = [builder.createString("Zürich"), builder.createString("")];
  builder.startVector(4, 2, 4);
  [...texts].reverse().forEach((text) => builder.addOffset(text));
  const textList = builder.endVector();
  builder.startVector(8, 2, 4);
  pair(4, 5, 6);
  pair(1, 2, 3);
  const pairs = builder.endVector();
  const bytes = (...values: number[]) => {
    builder.startVector(1, values.length, 1);
    values.reverse().forEach((value) => builder.addInt8(value));
    return builder.endVector();
  };
  const [bits, data] = [bytes(1, 0), bytes(7, 8, 9)];
  builder.startObject(11);
  builder.addFieldInt8(0, 0, 1);
  builder.addFieldInt32(6, 4_000_000_000 | 0, 0);
  const nested = builder.endObject();
  builder.startObject(6);
  builder.addFieldOffset(0, nested, 0);
  builder.addFieldStruct(1, pair(7, -8, 9), 0);
  [pairs, textList, bits, data].forEach((offset, i) => builder.addFieldOffset(2 + i, offset, 0));
  builder.finish(builder.endObject());

  const decode = (await decoderOf(channel("flatbuffer", "flatbuffer", "Root", schema))) as Decode;
  expect(decode(builder.asUint8Array())).toEqual({
    all: {
      ...{ Bool: false, Byte: -1, UByte: -1, Short: -1, UShort: -1, Int: -1, UInt: 4_000_000_000 },
      ...{ Long: -1n, ULong: 2n ** 64n - 1n, Float: 1.5, Double: 1.5 },
    },
    pair: { time: 7, pair: Int16Array.of(-8, 9) },
    pairs: [
      { time: 1, pair: Int16Array.of(2, 3) },
      { time: 4, pair: Int16Array.of(5, 6) },
    ],
    texts: ["Zürich", ""],
    bits: [true, false],
    data: Uint8Array.of(7, 8, 9),
  });
});

test("long integers of JSON keep their digits where the browser says them", async () => {
  const decode = (await decoderOf(channel("json", "", "", ""))) as Decode;
  const data = new TextEncoder().encode('{"stamp": 1769851800000000001, "text": "1769851800000000001", "x": -1.5}');
  const { stamp, ...rest } = decode(data) as { stamp: number | bigint };
  expect(rest).toEqual({ text: "1769851800000000001", x: -1.5 });
  const isTold = JSON.parse("1", (_, __, context?: { source: string }) => context !== undefined) as boolean;
  expect(stamp).toBe(isTold ? 1_769_851_800_000_000_001n : 1_769_851_800_000_000_001);
  expect(exactly("", 1e18, { source: "1000000000000000001" })).toBe(1_000_000_000_000_000_001n);
  for (const [value, source] of [[1e18, undefined], [1e18, "1e18"], [0.5, "0.5"], [7, "7"], ["1", '"1"']] as const) {
    expect(exactly("", value, source === undefined ? undefined : { source })).toBe(value);
  }
});

test("what cannot be decoded says why", async () => {
  const why = async (channel: Channel) => (await decoderOf(channel)) as { why: string };
  expect(await why({ topic: "/t", messageEncoding: "", schema: undefined })).toEqual({
    why: "nothing here reads an unnamed encoding without a schema",
  });
  expect((await why(channel("xml", "xsd", "a", ""))).why).toContain("reads xml with a schema in xsd");
  expect((await why(channel("protobuf", "protobuf", "a.B", Uint8Array.of(255)))).why).toContain("its schema");
});
