// ROS 1 and ROS 2 messages by their .msg definitions.
//
// ROS 1's wire format is read here: the known package makes code of the schema, which the page's policy
// forbids.

import { parse } from "@foxglove/rosmsg";
import { MessageReader } from "@foxglove/rosmsg2-serialization";
import type { MessageDefinition, MessageDefinitionField } from "@foxglove/message-definition";

import type { Decode } from "../decode";
import { Budget } from "./budget";

type Schema = { name: string; data: Uint8Array };

const text = new TextDecoder();

export function makeRos2({ data }: Schema): Decode {
  const definitions = parse(text.decode(data), { ros2: true });
  // Everything else has a byte at least, which bounds how many there are.
  const empty = definitions.flatMap(({ definitions }) => definitions).find(({ arrayLength }) => arrayLength === 0);
  if (empty !== undefined) throw new Error(`${empty.name} is a list of nothing`);
  const reader = new MessageReader(definitions);
  return (data) => reader.readMessage(data);
}

export function makeRos1({ data }: Schema): Decode {
  const definitions = parse(text.decode(data));
  const root = definitions.find(({ name }) => name === undefined) ?? definitions[0];
  if (root === undefined) throw new Error("it defines nothing");
  const named = new Map(definitions.map((definition) => [definition.name, definition]));
  return (data) => new Ros1(data, named).message(root, 0);
}

const MOST_NESTED = 100;

const ARRAYS = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  float32: Float32Array,
  float64: Float64Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
};

class Ros1 {
  private at = 0;
  private readonly view: DataView;
  private readonly budget: Budget;

  constructor(
    private readonly data: Uint8Array,
    private readonly named: Map<string | undefined, MessageDefinition>,
  ) {
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    this.budget = new Budget(data.length);
  }

  message({ definitions }: MessageDefinition, depth: number): Record<string, unknown> {
    if (depth > MOST_NESTED) throw new Error("messages are nested too deep");
    const values: Record<string, unknown> = {};
    for (const field of definitions) {
      if (field.isConstant === true) continue;
      this.budget.take(1);
      values[field.name] = field.isArray === true ? this.array(field, depth) : this.one(field, depth);
    }
    return values;
  }

  private array(field: MessageDefinitionField, depth: number): unknown {
    const length = field.arrayLength ?? this.take(4, () => this.view.getUint32(this.at, true));
    const typed = ARRAYS[field.type as keyof typeof ARRAYS];
    if (typed !== undefined) {
      const size = length * typed.BYTES_PER_ELEMENT;
      return this.take(size, () => {
        // A copy, since typed arrays have to be aligned.
        const start = this.data.byteOffset + this.at;
        return new typed(this.data.buffer.slice(start, start + size) as ArrayBuffer);
      });
    }
    this.budget.take(length);
    return Array.from({ length }, () => this.one(field, depth));
  }

  private one({ type, isComplex, name }: MessageDefinitionField, depth: number): unknown {
    if (isComplex === true) {
      const definition = this.named.get(type);
      if (definition === undefined) throw new Error(`${name} is a ${type}, which is not defined`);
      return this.message(definition, depth + 1);
    }
    const { view } = this;
    switch (type) {
      case "bool":
        return this.take(1, () => view.getUint8(this.at) !== 0);
      case "int8":
        return this.take(1, () => view.getInt8(this.at));
      case "uint8":
        return this.take(1, () => view.getUint8(this.at));
      case "int16":
        return this.take(2, () => view.getInt16(this.at, true));
      case "uint16":
        return this.take(2, () => view.getUint16(this.at, true));
      case "int32":
        return this.take(4, () => view.getInt32(this.at, true));
      case "uint32":
        return this.take(4, () => view.getUint32(this.at, true));
      case "int64":
        return this.take(8, () => view.getBigInt64(this.at, true));
      case "uint64":
        return this.take(8, () => view.getBigUint64(this.at, true));
      case "float32":
        return this.take(4, () => view.getFloat32(this.at, true));
      case "float64":
        return this.take(8, () => view.getFloat64(this.at, true));
      case "time":
        return this.take(8, () => ({
          sec: view.getUint32(this.at, true),
          nsec: view.getUint32(this.at + 4, true),
        }));
      case "duration":
        return this.take(8, () => ({
          sec: view.getInt32(this.at, true),
          nsec: view.getInt32(this.at + 4, true),
        }));
      case "string": {
        const length = this.take(4, () => view.getUint32(this.at, true));
        return this.take(length, () => text.decode(this.data.subarray(this.at, this.at + length)));
      }
      default:
        throw new Error(`${name} is of the unknown type ${type}`);
    }
  }

  private take<T>(bytes: number, read: () => T): T {
    if (this.at + bytes > this.data.length) throw new Error("the message is shorter than its schema says");
    const value = read();
    this.at += bytes;
    return value;
  }
}
