// A decoded message as it is shown in a tree: what is long or wide is cut, so that it can be posted and
// drawn. Objects become lists of pairs: names are the data's, and may be anything.

import type { Value } from "./decode";

export type Tree = string | number | bigint | boolean | null | Tree[] | Fields | Clipped;

/** An object, in its order. */
export interface Fields {
  readonly fields: [name: string, value: Tree][];
  /** How many more there are. */
  readonly more: number;
}

/** Instead of a long list: how it begins. */
export interface Clipped {
  readonly clipped: "bytes" | "numbers" | "items";
  readonly length: number;
  readonly head: Tree[];
}

const MOST_BYTES = 64;
// Of a list or an object.
const MOST_PARTS = 100;
const MOST_TEXT = 10_000;
const MOST_NESTED = 60;
// Of one message, at any depth.
const MOST_NODES = 5000;

export function toTree(value: Value): Tree {
  return new Maker().tree(value, 0);
}

class Maker {
  private left = MOST_NODES;

  tree(value: Value, depth: number): Tree {
    this.left--;
    switch (typeof value) {
      case "string":
        return value.length > MOST_TEXT ? `${value.slice(0, MOST_TEXT)}…` : value;
      case "number":
      case "bigint":
      case "boolean":
        return value;
      case "object":
        break;
      default:
        return null;
    }
    if (value === null || depth > MOST_NESTED) return null;
    if (ArrayBuffer.isView(value)) {
      const list = value as unknown as ArrayLike<number | bigint>;
      const isBytes = value instanceof Uint8Array;
      const head = this.some(list.length, isBytes ? MOST_BYTES : MOST_PARTS, (i) => list[i], depth);
      if (!isBytes && head.length === list.length) return head;
      return { clipped: isBytes ? "bytes" : "numbers", length: list.length, head };
    }
    if (Array.isArray(value)) {
      const { length } = value;
      const head = this.some(length, MOST_PARTS, (i) => value[i] as Value, depth);
      return head.length === length ? head : { clipped: "items", length, head };
    }
    const names = Object.keys(value);
    const of = value as Record<string, Value>;
    const shown = this.some(names.length, MOST_PARTS, (i) => of[names[i] as string], depth);
    const fields = shown.map((tree, i): [string, Tree] => [names[i] as string, tree]);
    return { fields, more: names.length - fields.length };
  }

  /** The first of a branch's parts, as many as there is room for. */
  private some(length: number, most: number, part: (i: number) => Value, depth: number): Tree[] {
    const made: Tree[] = [];
    for (let i = 0; i < length && i < most && this.left > 0; i++) made.push(this.tree(part(i), depth + 1));
    return made;
  }
}
