// A tree's parts, and what is written for them.

import { isTime, type Step } from "../player/path";
import type { Tree } from "../player/tree";
import { size } from "./words";

/** The names or numbers of the parts that are shown below a branch; none: it is a leaf. */
export function stepsOf(tree: Tree): Step[] {
  if (typeof tree !== "object" || tree === null) return [];
  if (Array.isArray(tree)) return [...tree.keys()];
  if ("fields" in tree) return tree.fields.map(([name]) => name);
  return tree.clipped === "items" ? [...tree.head.keys()] : [];
}

export function partOf(tree: Tree, index: number): Tree {
  if (typeof tree !== "object" || tree === null) return null;
  if (Array.isArray(tree)) return tree[index] ?? null;
  return ("fields" in tree ? tree.fields[index]?.[1] : tree.head[index]) ?? null;
}

/** How many nodes a tree has, up to this many. */
export function countNodes(tree: Tree, most: number): number {
  let count = 1;
  for (const index of stepsOf(tree).keys()) {
    if (count >= most) break;
    count += countNodes(partOf(tree, index), most - count);
  }
  return count;
}

/** How many parts are not in the tree. */
export function moreOf(tree: Tree): number {
  if (typeof tree !== "object" || tree === null || Array.isArray(tree)) return 0;
  return "fields" in tree ? tree.more : tree.length - tree.head.length;
}

/** What is written behind a branch's name. */
export function lengthOf(tree: Tree): string {
  if (typeof tree !== "object" || tree === null) return "";
  if (Array.isArray(tree)) return `[${tree.length}]`;
  return "fields" in tree ? "" : `[${tree.length}]`;
}

/** Whether `numberAt` finds a number here. */
export function isPlottable(tree: Tree): boolean {
  if (typeof tree !== "object" || tree === null) return ["number", "bigint", "boolean"].includes(typeof tree);
  return "fields" in tree && tree.more === 0 && isTime(Object.fromEntries(tree.fields));
}

/** What is written for what has no parts. */
export function leaf(tree: Tree): string {
  if (typeof tree === "string") return JSON.stringify(tree);
  if (typeof tree === "number") return number(tree);
  if (typeof tree !== "object" || tree === null) return String(tree);
  if (Array.isArray(tree)) return "[]";
  if ("fields" in tree) return tree.more > 0 ? "…" : "{}";
  const { clipped, length, head } = tree;
  const text =
    clipped === "bytes"
      ? head.slice(0, 16).map((byte) => Number(byte).toString(16).padStart(2, "0"))
      : head.slice(0, 8).map(leaf);
  return `${clipped === "bytes" ? size(length) : `${length} ${clipped}`}: ${text.join(" ")} …`;
}

/** All digits of a number; of what was a float32, as few as make it that. */
function number(value: number): string {
  const text = String(value);
  const digits = text.replace(/e.*|\D/g, "").replace(/^0+/, "").length;
  // What was a float32 has, as a double, more digits than anybody wrote.
  if (digits < 16 || Math.fround(value) !== value || Number.isInteger(value)) return text;
  for (let most = 6; ; most++) {
    const short = Number(value.toPrecision(most));
    if (Math.fround(short) === value) return String(short);
  }
}

/** A number beside a plot: nine digits, and whatever stands before its point. */
export function legible(value: number): string {
  const text = number(value);
  if (Number.isInteger(value)) return text;
  const before = String(Math.trunc(Math.abs(value))).length;
  return String(Number(Number(text).toPrecision(Math.max(9, before + 3))));
}
