// Messages that are made so that reading them takes forever, or all memory: each is refused at once.

import { create, toBinary } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  DescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { Builder } from "flatbuffers";
import { BaseType, FieldT, ObjectT, SchemaT, TypeT } from "flatbuffers_reflection/dist/cjs/reflection_generated.js";
import { expect, test } from "vitest";

import { type Decode, decoderOf, type Undecodable } from "../src/player/decode";
import { pictureIn } from "../src/player/images";

const MOST_MS = 2000;

function decoder(encoding: string, schemaEncoding: string, name: string, data: Uint8Array): Promise<Decode | Undecodable> {
  return decoderOf({ topic: "/t", messageEncoding: encoding, schema: { name, encoding: schemaEncoding, data } });
}

/** What is thrown, which has to be soon. */
function refusal(decode: Decode | Undecodable, data: Uint8Array): string {
  const begun = performance.now();
  try {
    (decode as Decode)(data);
    return "none";
  } catch (error) {
    expect(performance.now() - begun).toBeLessThan(MOST_MS);
    return (error as Error).message;
  }
}

const TOO_MANY = /bytes stand for more values than are read here/;
const text = (text: string) => new TextEncoder().encode(text);

// Protobuf

function protobuf(...messageType: DescriptorProto[]): Uint8Array {
  const file = create(FileDescriptorProtoSchema, { name: "a.proto", package: "a", syntax: "proto3", messageType });
  return toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: [file] }));
}

const scalar = (name: string, number: number, more = {}) => ({
  name,
  number,
  type: Type.DOUBLE,
  label: Label.OPTIONAL,
  ...more,
});

test("Protobuf: defaults do not multiply", async () => {
  const wide = create(DescriptorProtoSchema, {
    name: "Wide",
    field: Array.from({ length: 1000 }, (_, i) => scalar(`f${i}`, i + 1)),
  });
  const list = create(DescriptorProtoSchema, {
    name: "List",
    field: [{ name: "items", number: 1, type: Type.MESSAGE, typeName: ".a.Wide", label: Label.REPEATED }],
  });
  const decode = await decoder("protobuf", "protobuf", "a.List", protobuf(wide, list));
  const items = (count: number) => Uint8Array.from({ length: 2 * count }, (_, i) => (i % 2 === 0 ? 0x0a : 0));
  expect(((decode as Decode)(items(3)) as { items: unknown[] }).items).toHaveLength(3);
  expect(refusal(decode, items(500_000))).toMatch(TOO_MANY);
});

test("Protobuf: lengths lead nowhere else, and depth has a bound", async () => {
  const node = create(DescriptorProtoSchema, {
    name: "Node",
    field: [
      { name: "next", number: 1, type: Type.MESSAGE, typeName: ".a.Node", label: Label.OPTIONAL },
      scalar("values", 2, { label: Label.REPEATED }),
      scalar("data", 3, { type: Type.BYTES }),
    ],
  });
  const decode = await decoder("protobuf", "protobuf", "a.Node", protobuf(node));
  const forged = (tag: number) => Uint8Array.of(tag, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3);
  expect(refusal(decode, forged(0x0a))).toContain("beyond");
  expect(refusal(decode, forged(0x12))).toContain("beyond");
  expect(refusal(decode, forged(0x1a))).not.toBe("none");
  let nested = new Uint8Array();
  for (let i = 0; i < 120; i++) nested = Uint8Array.of(0x0a, nested.length & 0x7f | 0x80, nested.length >> 7, ...nested);
  expect(refusal(decode, nested)).toContain("too deep");
});

test("Protobuf: what was not written is null where proto3 tells it from zero", async () => {
  const type = create(DescriptorProtoSchema, {
    name: "Some",
    field: [scalar("plain", 1), scalar("maybe", 2, { proto3Optional: true, oneofIndex: 0 })],
    oneofDecl: [{ name: "_maybe" }],
  });
  const decode = (await decoder("protobuf", "protobuf", "a.Some", protobuf(type))) as Decode;
  expect(decode(new Uint8Array())).toEqual({ plain: 0, maybe: null });
  expect(decode(Uint8Array.of(0x11, 0, 0, 0, 0, 0, 0, 0, 0))).toEqual({ plain: 0, maybe: 0 });
});

// FlatBuffers

const offset = (id: number) => 4 + 2 * id;

function field(name: string, id: number, type: TypeT, isOptional = false): FieldT {
  return new FieldT(name, type, id, offset(id), 7n, 0, false, false, false, [], [], isOptional);
}

function flatbuffer(...objects: ObjectT[]): Uint8Array {
  const builder = new Builder();
  builder.finish(new SchemaT(objects, [], "", "", null, [], 0n as never, []).pack(builder));
  return builder.asUint8Array().slice();
}

const vectorOf = (element: BaseType, index = -1) => new TypeT(BaseType.Vector, element, index);

test("FlatBuffers: a vector is no longer than its message", async () => {
  const schema = flatbuffer(new ObjectT("Message", [field("values", 0, vectorOf(BaseType.Double)), field("n", 1, new TypeT(BaseType.Int))]));
  const decode = await decoder("flatbuffer", "flatbuffer", "Message", schema);
  const builder = new Builder();
  const values = builder.createString("12345678");
  builder.startObject(2);
  builder.addFieldOffset(0, values, 0);
  builder.finish(builder.endObject());
  const data = builder.asUint8Array().slice();
  const length = data.findIndex((byte, i) => byte === 8 && data[i + 4] === "1".charCodeAt(0));
  data[length] = 1;
  expect((decode as Decode)(data)).toEqual({ values: Float64Array.of(6.821320051701325e-38), n: 7 });
  new DataView(data.buffer).setUint32(length, 0xff_ffff, true);
  expect(refusal(decode, data)).toContain("leads out of it");
  expect(refusal(decode, data.subarray(0, 3))).toContain("leads out of it");
});

test("FlatBuffers: what many offsets share does not multiply", async () => {
  // Each list names the next one a thousand times.
  const depth = 6;
  const schema = flatbuffer(new ObjectT("List", [field("items", 0, vectorOf(BaseType.Obj, 0))]));
  const builder = new Builder();
  let list = 0;
  for (let i = 0; i < depth; i++) {
    builder.startVector(4, i === 0 ? 0 : 1000, 4);
    for (let n = 0; i > 0 && n < 1000; n++) builder.addOffset(list);
    const items = builder.endVector();
    builder.startObject(1);
    builder.addFieldOffset(0, items, 0);
    list = builder.endObject();
  }
  builder.finish(list);
  const decode = await decoder("flatbuffer", "flatbuffer", "List", schema);
  expect(refusal(decode, builder.asUint8Array().slice())).toMatch(TOO_MANY);
});

test("FlatBuffers: any damage to a schema ends", async () => {
  const point = new ObjectT("Point", [field("x", 0, new TypeT(BaseType.Double)), field("y", 1, new TypeT(BaseType.ULong), true)]);
  const schema = flatbuffer(point, new ObjectT("Message", [field("points", 0, vectorOf(BaseType.Obj, 0))]));
  const begun = performance.now();
  for (let at = 0; at < schema.length; at++) {
    const damaged = schema.slice();
    damaged[at] = 0xff;
    const decode = await decoder("flatbuffer", "flatbuffer", "Message", damaged);
    expect("why" in decode || typeof decode === "function").toBe(true);
    if (typeof decode === "function") refusal(decode, schema);
  }
  expect(performance.now() - begun).toBeLessThan(5 * MOST_MS);
});

// ROS

test("ROS 1: empty messages do not multiply", async () => {
  const lists = "A[] a\n===\nMSG: a/A\nB[1000] b\n===\nMSG: a/B\nC[1000] c\n===\nMSG: a/C\n";
  const decode = await decoder("ros1", "ros1msg", "a/Root", text(lists));
  expect(refusal(decode, Uint8Array.of(100, 0, 0, 0))).toMatch(TOO_MANY);
  expect(refusal(decode, Uint8Array.of(255, 255, 255, 255))).toMatch(TOO_MANY);
  const doubling = Array.from({ length: 40 }, (_, i) => `M${i + 1} a\nM${i + 1} b\n===\nMSG: a/M${i + 1}\n`);
  const deep = await decoder("ros1", "ros1msg", "a/Root", text(doubling.join("")));
  expect(refusal(deep, new Uint8Array())).toMatch(TOO_MANY);
});

test("ROS 2: lists are no longer than their message, and none is of nothing", async () => {
  const decode = await decoder("cdr", "ros2msg", "a/msg/Root", text("A[] a\nfloat64[] b\nstring[] c\n===\nMSG: a/A\n"));
  const head = [0, 1, 0, 0];
  expect((decode as Decode)(Uint8Array.of(...head, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))).toEqual({
    a: [{}],
    b: new Float64Array(),
    c: [],
  });
  expect(refusal(decode, Uint8Array.of(...head, 255, 255, 255, 255))).not.toBe("none");
  expect(refusal(decode, Uint8Array.of(...head, 0, 0, 0, 0, 255, 255, 255, 0))).not.toBe("none");
  const nothing = await decoder("cdr", "ros2msg", "a/msg/Root", text("A[4000000000] a\n===\nMSG: a/A\nuint8[0] x\n"));
  expect(nothing).toEqual({ why: "its schema: x is a list of nothing" });
});

test("IDL: lists are no longer than their message, and none is of nothing", async () => {
  const idl = "struct A { uint8 x; }; struct Root { sequence<A> a; sequence<string> b; uint8 c[2][3]; };";
  const decode = await decoder("cdr", "omgidl", "Root", text(idl));
  expect((decode as Decode)(Uint8Array.of(0, 1, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6))).toEqual({
    a: [{ x: 7 }],
    b: [],
    c: [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5, 6)],
  });
  expect(refusal(decode, Uint8Array.of(0, 1, 0, 0, 255, 255, 255, 255))).not.toBe("none");
  expect(refusal(decode, Uint8Array.of(0, 1, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255))).not.toBe("none");
  for (const nothing of ["uint8 x[0];", "uint8 x[3][0];", ""]) {
    const idl = `struct A { ${nothing} }; struct Root { sequence<A> a; };`;
    expect(await decoder("cdr", "omgidl", "Root", text(idl)), nothing).toHaveProperty("why");
  }
});

// Pictures

const bytes = (...parts: (number[] | string)[]) =>
  Uint8Array.from(parts.flatMap((part) => (typeof part === "string" ? [...text(part)] : part)));

test("pictures that become too large are told by their heads", () => {
  const heads = {
    png: bytes([0x89], "PNG", [13, 10, 26, 10, 0, 0, 0, 13], "IHDR", [0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]),
    gif: bytes("GIF89a", [0xff, 0xff, 0xff, 0xff]),
    jpeg: bytes([0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, 0xc2, 0, 8, 8, 0xff, 0xff, 0xff, 0xff]),
    vp8x: bytes("RIFF....WEBPVP8X....", [0, 0, 0, 0, 0xff, 0xff, 0, 0xff, 0xff, 0, 0]),
    vp8l: bytes("RIFF....WEBPVP8L....", [0x2f, 0xff, 0xff, 0xff, 0x0f]),
    vp8: bytes("RIFF....WEBPVP8 ....", [0, 0, 0, 0x9d, 1, 0x2a, 0xff, 0x3f, 0xff, 0x3f]),
  };
  for (const [format, data] of Object.entries(heads)) {
    expect(() => pictureIn({ format, data }), format).toThrow(/is more than is shown here/);
    // A cut one says no size, and is the browser's.
    expect(pictureIn({ format, data: data.subarray(0, 8) }).kind).toBe("compressed");
  }
});
