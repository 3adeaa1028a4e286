// A decoded message as it is shown in a tree: what is long is cut, so that it can be posted and drawn.

import type { Value } from "./decode";

/** Instead of a long list: how it begins. */
export interface Clipped {
  readonly clipped: true;
  readonly kind: "bytes" | "numbers" | "items";
  readonly length: number;
  readonly head: Tree[];
}

export type Tree =
  | string
  | number
  | bigint
  | boolean
  | null
  | Clipped
  | Tree[]
  | { [name: string]: Tree };

const MOST_BYTES = 64;
const MOST_ITEMS = 100;
const MOST_TEXT = 10_000;
const MOST_NESTED = 60;

export function toTree(value: Value, depth = 0): Tree {
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
    const most = isBytes ? MOST_BYTES : MOST_ITEMS;
    const head = Array.from({ length: Math.min(list.length, most) }, (_, i) => list[i] as Tree);
    if (!isBytes && list.length <= most) return head;
    return { clipped: true, kind: isBytes ? "bytes" : "numbers", length: list.length, head };
  }
  if (Array.isArray(value)) {
    const head = value.slice(0, MOST_ITEMS).map((item) => toTree(item, depth + 1));
    if (value.length <= MOST_ITEMS) return head;
    return { clipped: true, kind: "items", length: value.length, head };
  }
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, toTree(item, depth + 1)]),
  );
}

export function isClipped(tree: Tree): tree is Clipped {
  return typeof tree === "object" && tree !== null && "clipped" in tree && tree.clipped === true;
}
