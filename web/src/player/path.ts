// Paths into messages: `pose.position.x`, `transforms[0].translation.x`, `data[3]`, and `pose["a b"]` for
// names that would not be read as one; behind a topic they are written `/odom.pose.position.x`.

import type { Value } from "./decode";

export type Step = string | number;

const PLAIN = /^[^\s.[\]"]+$/;
const STEP = /\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|(?:^|(?!^)\.)([^\s.[\]"]+)/gsy;

export function parsePath(text: string): Step[] | undefined {
  const steps: Step[] = [];
  let read = 0;
  for (const [all, index, quoted, name] of text.matchAll(STEP)) {
    read += all.length;
    const step = index !== undefined ? Number(index) : quoted !== undefined ? unquoted(quoted) : name;
    if (step === undefined) return undefined;
    steps.push(step);
  }
  return read === text.length && steps.length > 0 ? steps : undefined;
}

function unquoted(text: string): string | undefined {
  try {
    return JSON.parse(text) as string;
  } catch {
    return undefined;
  }
}

export function formatPath(steps: readonly Step[]): string {
  return steps.reduce<string>(stepInto, "");
}

/** The path one step further. */
export function stepInto(path: string, step: Step): string {
  if (typeof step === "number") return `${path}[${step}]`;
  if (!PLAIN.test(step)) return `${path}[${JSON.stringify(step)}]`;
  return path === "" ? step : `${path}.${step}`;
}

/** The number at a path: booleans and bigints too, and times in seconds. */
export function numberAt(value: Value, steps: readonly Step[]): number | undefined {
  let at: unknown = value;
  for (const step of steps) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, step)) return undefined;
    at = (at as Record<Step, unknown>)[step];
  }
  switch (typeof at) {
    case "number":
      return at;
    case "bigint":
    case "boolean":
      return Number(at);
    default:
      return isTime(at) ? secondsOf(at) : undefined;
  }
}

// Sorted. Of ROS 1 and Foxglove's FlatBuffers; of ROS 2; of Protobuf.
const PARTS_OF_TIMES = ["nsec sec", "nanosec sec", "nanos seconds"];

/** A time or a duration: seconds, and nanoseconds beside them. */
export function isTime(value: unknown): value is Record<string, number | bigint> {
  if (typeof value !== "object" || value === null) return false;
  const parts = Object.entries(value);
  if (parts.length !== 2) return false;
  if (!parts.every(([, part]) => typeof part === "number" || typeof part === "bigint")) return false;
  return PARTS_OF_TIMES.includes(parts.map(([name]) => name).sort().join(" "));
}

function secondsOf({ sec, seconds, nsec, nanosec, nanos }: Record<string, number | bigint>): number {
  return Number(sec ?? seconds) + Number(nsec ?? nanosec ?? nanos) / 1e9;
}
