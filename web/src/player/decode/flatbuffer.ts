// FlatBuffers by a binary schema (reflection.fbs).

import { ByteBuffer } from "flatbuffers";
import { Parser, Schema, Table } from "flatbuffers_reflection";

import type { Decode } from "../decode";

export function makeFlatbuffer({ name, data }: { name: string; data: Uint8Array }): Decode {
  const schema = Schema.getRootAsSchema(new ByteBuffer(data));
  let index = -1;
  for (let i = 0; i < schema.objectsLength(); i++) {
    if (schema.objects(i)?.name() === name) index = i;
  }
  if (index < 0) throw new Error(`${name} is not in it`);
  const parser = new Parser(schema);
  const toObject = parser.toObjectLambda(index, true);
  return (data) => toObject(Table.getNamedTable(new ByteBuffer(data), schema, name));
}
