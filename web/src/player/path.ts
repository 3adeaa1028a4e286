// Paths into messages: `pose.position.x`, `transforms[0].translation.x`, `data[3]`; behind a topic they
// are written `/odom.pose.position.x`.

import type { Value } from "./decode";

export type Step = string | number;

export function parsePath(text: string): Step[] | undefined {
  const steps: Step[] = [];
  const rest = text.replace(/\[(\d+)\]|\.?([^.[\]]+)/g, (_, index?: string, name?: string) => {
    steps.push(index !== undefined ? Number(index) : (name ?? ""));
    return "";
  });
  return rest === "" && steps.length > 0 ? steps : undefined;
}

export function formatPath(steps: readonly Step[]): string {
  return steps
    .map((step, i) => (typeof step === "number" ? `[${step}]` : i === 0 ? step : `.${step}`))
    .join("");
}

/** The number at a path: booleans and bigints too, and times of ROS in seconds. */
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
      return undefined;
  }
}
