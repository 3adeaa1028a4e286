// Protobuf by a FileDescriptorSet. Fields keep the names of their .proto, since those are what paths
// and other tools say. Absent fields have their defaults where proto3 says so, and are null elsewhere.

import { createFileRegistry, fromBinary, ScalarType } from "@bufbuild/protobuf";
import type { DescEnum, DescField, DescMessage, Registry } from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

import type { Decode } from "../decode";
import { Budget } from "./budget";

type Fields = Map<number, DescField>;
type Values = Record<string, unknown>;

const MOST_NESTED = 100;
const { IMPLICIT } = FeatureSet_FieldPresence;

export function makeProtobuf(schema: { name: string; data: Uint8Array }): Decode {
  const registry: Registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, schema.data));
  const type = registry.getMessage(schema.name);
  if (type === undefined) throw new Error(`${schema.name} is not in it`);
  const known = new Map<DescMessage, Fields>();
  const fieldsOf = (type: DescMessage): Fields => {
    let fields = known.get(type);
    if (fields === undefined) {
      fields = new Map(type.fields.map((field) => [field.number, field]));
      known.set(type, fields);
    }
    return fields;
  };
  return (data) => {
    const budget = new Budget(data.length);
    return readMessage(new BinaryReader(data), data.length, type, fieldsOf, budget, 0);
  };
}

function readMessage(
  reader: BinaryReader,
  end: number,
  type: DescMessage,
  fieldsOf: (type: DescMessage) => Fields,
  budget: Budget,
  depth: number,
): Values {
  if (depth > MOST_NESTED) throw new Error("messages are nested too deep");
  budget.take(type.fields.length);
  const values = defaults(type);
  const fields = fieldsOf(type);
  const nested = (message: DescMessage): Values => {
    const length = reader.uint32();
    return readMessage(reader, within(reader.pos + length, end), message, fieldsOf, budget, depth + 1);
  };
  while (reader.pos < end) {
    const [number, wire] = reader.tag();
    const field = fields.get(number);
    if (field === undefined || wire === WireType.StartGroup) {
      reader.skip(wire, number);
      continue;
    }
    const { name } = field;
    switch (field.fieldKind) {
      case "message":
        values[name] = nested(field.message);
        break;
      case "scalar":
        values[name] = readScalar(reader, field.scalar);
        break;
      case "enum":
        values[name] = enumName(field.enum, reader.int32());
        break;
      case "list": {
        const list = values[name] as unknown[];
        if (field.listKind === "message") {
          list.push(nested(field.message));
          break;
        }
        const readOne = () =>
          field.listKind === "enum"
            ? enumName(field.enum, reader.int32())
            : readScalar(reader, field.scalar);
        const isPacked = wire === WireType.LengthDelimited && !isText(field);
        if (!isPacked) {
          list.push(readOne());
          break;
        }
        const length = reader.uint32();
        for (const stop = within(reader.pos + length, end); reader.pos < stop; ) list.push(readOne());
        break;
      }
      case "map": {
        const length = reader.uint32();
        const stop = within(reader.pos + length, end);
        let key: unknown = "";
        let value: unknown;
        while (reader.pos < stop) {
          const [part, partWire] = reader.tag();
          if (part === 1) key = readScalar(reader, field.mapKey);
          else if (part !== 2) reader.skip(partWire, part);
          else if (field.mapKind === "message") value = nested(field.message);
          else if (field.mapKind === "enum") value = enumName(field.enum, reader.int32());
          else value = readScalar(reader, field.scalar);
        }
        define(values[name] as Values, String(key), value);
        break;
      }
    }
  }
  if (reader.pos !== end) throw new Error("a field reaches beyond its message");
  return values;
}

function within(position: number, end: number): number {
  if (position > end) throw new Error("a field reaches beyond its message");
  return position;
}

function isText(field: DescField & { fieldKind: "list" }): boolean {
  return (
    field.listKind === "scalar" &&
    (field.scalar === ScalarType.STRING || field.scalar === ScalarType.BYTES)
  );
}

function defaults(type: DescMessage): Values {
  const values: Values = {};
  for (const field of type.fields) {
    const { fieldKind, name } = field;
    if (field.oneof !== undefined) continue;
    // All are named, so that they stay in the order of their definition.
    if (fieldKind === "list") values[name] = [];
    else if (fieldKind === "map") values[name] = {};
    else if (fieldKind === "message" || field.presence !== IMPLICIT) values[name] = null;
    else if (fieldKind === "enum") values[name] = enumName(field.enum, field.enum.values[0]?.number ?? 0);
    else values[name] = zero(field.scalar);
  }
  return values;
}

// A key may be `__proto__`.
function define(values: Values, key: string, value: unknown): void {
  Object.defineProperty(values, key, { value, enumerable: true, configurable: true, writable: true });
}

function enumName(type: DescEnum, number: number): string | number {
  return type.value[number]?.name ?? number;
}

function zero(type: ScalarType): unknown {
  switch (type) {
    case ScalarType.STRING:
      return "";
    case ScalarType.BYTES:
      return new Uint8Array();
    case ScalarType.BOOL:
      return false;
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return 0n;
    default:
      return 0;
  }
}

function readScalar(reader: BinaryReader, type: ScalarType): unknown {
  switch (type) {
    case ScalarType.STRING:
      return reader.string();
    case ScalarType.BYTES:
      return reader.bytes();
    case ScalarType.BOOL:
      return reader.bool();
    case ScalarType.DOUBLE:
      return reader.double();
    case ScalarType.FLOAT:
      return reader.float();
    case ScalarType.INT32:
      return reader.int32();
    case ScalarType.UINT32:
      return reader.uint32();
    case ScalarType.SINT32:
      return reader.sint32();
    case ScalarType.FIXED32:
      return reader.fixed32();
    case ScalarType.SFIXED32:
      return reader.sfixed32();
    case ScalarType.INT64:
      return reader.int64();
    case ScalarType.UINT64:
      return reader.uint64();
    case ScalarType.SINT64:
      return reader.sint64();
    case ScalarType.FIXED64:
      return reader.fixed64();
    case ScalarType.SFIXED64:
      return reader.sfixed64();
  }
}
