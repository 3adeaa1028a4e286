// Log messages, by the schemas of Foxglove and of ROS 1 and 2; told by their fields.

import type { Value } from "./decode";

export type Level = "debug" | "info" | "warning" | "error" | "fatal" | "";

export interface LogLine {
  time: bigint;
  topic: string;
  level: Level;
  name: string;
  text: string;
}

export function isLogSchema(name: string | null): boolean {
  return /(^|[./])Log$/.test(name ?? "");
}

const LEVELS: readonly Level[] = ["", "debug", "info", "warning", "error", "fatal"];

export function logLine(time: bigint, topic: string, schema: string, message: Value): LogLine {
  const { level, name, msg, message: said } = message as Record<string, unknown>;
  return {
    time,
    topic,
    level: levelOf(schema, level),
    name: typeof name === "string" ? name : "",
    text: String(msg ?? said ?? ""),
  };
}

function levelOf(schema: string, level: unknown): Level {
  if (typeof level === "string") {
    const name = level.toLowerCase();
    return LEVELS.find((known) => known === name) ?? "";
  }
  const number = Number(level);
  // 1, 2, 4, 8, 16; 10, 20, 30, 40, 50; 1 to 5.
  if (schema.startsWith("rosgraph_msgs")) return LEVELS[Math.log2(number) + 1] ?? "";
  if (schema.startsWith("rcl_interfaces")) return LEVELS[number / 10] ?? "";
  return LEVELS[number] ?? "";
}
