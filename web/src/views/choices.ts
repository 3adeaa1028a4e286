// What the page shows and selects when it is opened, and how a topic is shown.

import type { Recording, Topic } from "../api/loader";
import { type PageLink, type Panel, splitField } from "../lib/link";
import { clamp, type Nanos, parseNanos, SECOND } from "../lib/nanos";
import { isPictureSchema } from "../player/images";
import { isLogSchema } from "../player/logs";
import { isVideoSchema } from "../player/video";

export interface Range {
  start: Nanos;
  end: Nanos;
}

/** The times of a recording, as far as they are known: while nobody knows its end, what is known of it. */
export function rangeOf({ start, end, sources }: Pick<Recording, "start" | "end" | "sources">): Range {
  const from = parseNanos(start ?? "") ?? 0n;
  const texts = end !== null ? [end] : sources.flatMap((source) => [source.start, source.end, source.loadedUntil]);
  const times = texts.flatMap((text) => parseNanos(text ?? "") ?? []);
  return { start: from, end: times.reduce((last, time) => (time > last ? time : last), from) };
}

/** Times that grow, in steps: the ones from before until they are twice as long. */
export function roughly(now: Range, before: Range | undefined): Range {
  const isLittle = before?.start === now.start && now.end - now.start < 2n * (before.end - before.start);
  return isLittle ? before : now;
}

/** What the link selects of these times. */
export function stretchOf({ start, end }: PageLink, range: Range): Range | undefined {
  if (start === undefined && end === undefined) return undefined;
  const within = (time: Nanos) => clamp(time, range.start, range.end);
  const stretch = { start: within(start ?? range.start), end: within(end ?? range.end) };
  return stretch.start < stretch.end ? stretch : undefined;
}

function isPicture({ schemaName }: Topic): boolean {
  return isPictureSchema(schemaName) || isVideoSchema(schemaName);
}

/** Those that the recording does not have. */
export function unknownOf(topics: readonly string[], known: readonly string[]): string[] {
  return topics.filter((topic) => !known.includes(topic));
}

/** How a topic is opened. */
export function panelFor(topic: Topic): Panel {
  if (isPicture(topic)) return { kind: "image", topic: topic.name };
  if (isLogSchema(topic.schemaName)) return { kind: "log", topics: [topic.name] };
  return { kind: "raw", topic: topic.name };
}

// Log messages are read over all of the time, for which a long recording has to be loaded.
const LOGS_UP_TO = 300n * SECOND;

/** A picture, and one more thing that moves. */
export function defaultPanels(topics: readonly Topic[], { start, end }: Range): Panel[] {
  const picture = topics.find(isPicture);
  const logs = topics.filter(({ schemaName }) => isLogSchema(schemaName)).map(({ name }) => name);
  const isPlain = (topic: Topic) => panelFor(topic).kind === "raw";
  const called = (name: RegExp) => topics.find((topic) => isPlain(topic) && name.test(topic.name));
  const other = called(/odom/i) ?? called(/pose|imu|gps|fix/i) ?? topics.find(isPlain);
  return [
    ...(picture ? [panelFor(picture)] : []),
    ...(other ? [panelFor(other)] : []),
    ...(logs.length > 0 && end - start <= LOGS_UP_TO ? [{ kind: "log" as const, topics: logs }] : []),
  ];
}

/** The topics that are open, and then those that are selected, each once. */
export function laneTopics(
  panels: readonly Panel[],
  selected: Iterable<string>,
  topics: readonly string[],
): string[] {
  const open = panels.flatMap((panel) => {
    if (panel.kind === "log") return panel.topics;
    if (panel.kind !== "plot") return [panel.topic];
    return panel.fields.flatMap((field) => splitField(field, topics)?.topic ?? []);
  });
  const known = new Set(topics);
  return [...new Set([...open, ...selected])].filter((topic) => known.has(topic));
}
