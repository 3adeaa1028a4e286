// FlatBuffers by a binary schema (reflection.fbs), which is one itself (flatbuffers.dev, "FlatBuffer
// Internals"). Offsets may lead anywhere and many to one place: each is looked at, and so is how much
// comes of them.

import type { Decode } from "../decode";
import { Budget } from "./budget";

interface Type {
  base: number;
  element: number;
  /** Of the shape. */
  index: number;
  fixedLength: number;
}

interface Field {
  name: string;
  type: Type;
  /** In a table's list of offsets, or in a struct. */
  offset: number;
  /** Of a scalar that is not there. */
  absent: unknown;
}

/** A table or a struct. */
interface Shape {
  name: string;
  isStruct: boolean;
  size: number;
  fields: Field[];
}

const [BOOL, FLOAT, DOUBLE, STRING, VECTOR, OBJECT, ARRAY] = [2, 11, 12, 13, 14, 15, 17];

// By the number of their type.
const SCALARS = [
  undefined,
  Uint8Array,
  Uint8Array,
  Int8Array,
  Uint8Array,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  BigInt64Array,
  BigUint64Array,
  Float32Array,
  Float64Array,
];

const MOST_NESTED = 100;

const text = new TextDecoder();

export function makeFlatbuffer({ name, data }: { name: string; data: Uint8Array }): Decode {
  const shapes = shapesOf(data);
  const root = shapes.find((shape) => shape.name === name);
  if (root === undefined) throw new Error(`${name} is not in it`);
  return (data) => {
    const message = new Message(data, shapes);
    return message.object(root, message.target(0), 0);
  };
}

/** Every offset is one into `data`: what leads out of it is an error. */
class Bytes {
  protected readonly view: DataView;
  protected readonly budget: Budget;

  constructor(protected readonly data: Uint8Array) {
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    this.budget = new Budget(data.length);
  }

  /** Where the offset that lies here leads. */
  target(at: number): number {
    return at + this.within(at, 4).getUint32(at, true);
  }

  /** Where a table has a field; undefined: it has none. */
  field(table: number, offset: number): number | undefined {
    const list = table - this.within(table, 4).getInt32(table, true);
    if (offset + 2 > this.within(list, 4).getUint16(list, true)) return undefined;
    const at = this.within(list + offset, 2).getUint16(list + offset, true);
    return at === 0 ? undefined : table + at;
  }

  /** Where a vector's elements begin, and how many there are. */
  vector(at: number, elementBytes: number): { start: number; length: number } {
    const head = this.target(at);
    const length = this.within(head, 4).getUint32(head, true);
    this.within(head + 4, length * elementBytes);
    this.budget.take(length);
    return { start: head + 4, length };
  }

  string(at: number): string {
    const { start, length } = this.vector(at, 1);
    return text.decode(this.data.subarray(start, start + length));
  }

  scalar(type: number, at: number): number | bigint | boolean {
    const view = this.within(at, SCALARS[type]?.BYTES_PER_ELEMENT ?? 0);
    switch (type) {
      case 1:
      case 4:
        return view.getUint8(at);
      case BOOL:
        return view.getUint8(at) !== 0;
      case 3:
        return view.getInt8(at);
      case 5:
        return view.getInt16(at, true);
      case 6:
        return view.getUint16(at, true);
      case 7:
        return view.getInt32(at, true);
      case 8:
        return view.getUint32(at, true);
      case 9:
        return view.getBigInt64(at, true);
      case 10:
        return view.getBigUint64(at, true);
      case FLOAT:
        return view.getFloat32(at, true);
      case DOUBLE:
        return view.getFloat64(at, true);
      default:
        throw new Error(`values of type ${type} are not read here`);
    }
  }

  protected within(at: number, bytes: number): DataView {
    if (at < 0 || at + bytes > this.data.length) throw new Error("an offset or a length leads out of it");
    return this.view;
  }
}

class Message extends Bytes {
  constructor(
    data: Uint8Array,
    private readonly shapes: readonly Shape[],
  ) {
    super(data);
  }

  object({ fields, isStruct }: Shape, at: number, depth: number): Record<string, unknown> {
    if (depth > MOST_NESTED) throw new Error("messages are nested too deep");
    this.budget.take(fields.length);
    const values: Record<string, unknown> = {};
    for (const { name, type, offset, absent } of fields) {
      const place = isStruct ? at + offset : this.field(at, offset);
      values[name] = place === undefined ? absent : this.value(type, place, depth);
    }
    return values;
  }

  private value({ base, element, index, fixedLength }: Type, at: number, depth: number): unknown {
    switch (base) {
      case STRING:
        return this.string(at);
      case OBJECT: {
        const shape = this.shape(index);
        return this.object(shape, shape.isStruct ? at : this.target(at), depth + 1);
      }
      case VECTOR: {
        const { start, length } = this.vector(at, this.bytesOf(element, index));
        return this.elements(element, index, start, length, depth);
      }
      case ARRAY:
        this.budget.take(fixedLength);
        this.within(at, fixedLength * this.bytesOf(element, index));
        return this.elements(element, index, at, fixedLength, depth);
      default:
        return this.scalar(base, at);
    }
  }

  private elements(element: number, index: number, start: number, length: number, depth: number): unknown {
    const size = this.bytesOf(element, index);
    const typed = SCALARS[element];
    if (typed === undefined || element === BOOL) {
      const type = { base: element, element: 0, index, fixedLength: 0 };
      return Array.from({ length }, (_, i) => this.value(type, start + i * size, depth));
    }
    const from = this.data.byteOffset + start;
    const buffer = this.data.buffer as ArrayBuffer;
    // A copy, since typed arrays have to be aligned.
    return size === 1 ? new typed(buffer, from, length) : new typed(buffer.slice(from, from + length * size));
  }

  private bytesOf(element: number, index: number): number {
    const shape = element === OBJECT ? this.shape(index) : undefined;
    return shape?.isStruct === true ? shape.size : (SCALARS[element]?.BYTES_PER_ELEMENT ?? 4);
  }

  private shape(index: number): Shape {
    const shape = this.shapes[index];
    if (shape === undefined) throw new Error(`the schema has no object ${index}`);
    return shape;
  }
}

// The fields of reflection.fbs, by their offsets.
function shapesOf(data: Uint8Array): Shape[] {
  const bytes = new Bytes(data);
  const name = (table: number) => {
    const at = bytes.field(table, 4);
    return at === undefined ? "" : bytes.string(at);
  };
  const scalar = (table: number, offset: number, type: number) => {
    const at = bytes.field(table, offset);
    return at === undefined ? 0 : bytes.scalar(type, at);
  };
  const number = (table: number, offset: number, type: number) => Number(scalar(table, offset, type));
  const tables = (table: number, offset: number) => {
    const at = bytes.field(table, offset);
    if (at === undefined) return [];
    const { start, length } = bytes.vector(at, 4);
    return Array.from({ length }, (_, i) => bytes.target(start + 4 * i));
  };
  const typeOf = (field: number): Type => {
    const at = bytes.field(field, 6);
    if (at === undefined) throw new Error(`${name(field)} has no type`);
    const type = bytes.target(at);
    return {
      base: number(type, 4, 3),
      element: number(type, 6, 3),
      index: number(type, 8, 7),
      fixedLength: number(type, 10, 6),
    };
  };
  const absent = (field: number, { base }: Type): unknown => {
    const isOptional = scalar(field, 26, BOOL) === true;
    if (isOptional || SCALARS[base] === undefined) return null;
    if (base === FLOAT || base === DOUBLE) return number(field, 14, DOUBLE);
    const integer = BigInt(scalar(field, 12, 9));
    if (base === BOOL) return integer !== 0n;
    return base === 9 ? integer : base === 10 ? BigInt.asUintN(64, integer) : Number(integer);
  };
  return tables(bytes.target(0), 4).map((object) => ({
    name: name(object),
    isStruct: scalar(object, 8, BOOL) === true,
    size: number(object, 12, 7),
    // They are written in the order of their names.
    fields: tables(object, 6)
      .map((field) => {
        const type = typeOf(field);
        const offset = number(field, 10, 6);
        return { id: number(field, 8, 6), name: name(field), type, offset, absent: absent(field, type) };
      })
      .sort((one, other) => one.id - other.id),
  }));
}
