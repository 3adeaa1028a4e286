// Where in time topics have data, as it is drawn and as it is said.

import type { Topic } from "../api/loader";
import { clamp, type Nanos, parseNanos } from "../lib/nanos";
import type { Range } from "./choices";
import { clockIn } from "./words";

export type Spans = ReadonlyMap<string, readonly Range[]>;

// So narrow is what is drawn at least.
const LEAST_PX = 2;
// So many are said one by one.
const MOST_TOLD = 3;

/** Where in time topics have data, by their names; what did not change stays the same object. */
export class KnownSpans {
  private known = new Map<string, { written: Written; ranges: readonly Range[] }>();

  /** Ascending and disjoint. A topic that has several schemas is one. */
  of(topics: readonly Pick<Topic, "name" | "ranges">[]): Spans {
    const written = new Map<string, Written>();
    for (const { name, ranges } of topics) {
      const others = written.get(name);
      written.set(name, others === undefined ? ranges : [...others, ...ranges]);
    }
    const known = new Map([...written].map(([name, written]) => {
      const before = this.known.get(name);
      if (before !== undefined && areSame(before.written, written)) return [name, before];
      // The page's store writes into what it was given.
      const copy = written.map((range) => ({ ...range }));
      return [name, { written: copy, ranges: joined(written.flatMap(parsed)) }];
    }));
    this.known = known;
    return new Map([...known].map(([name, { ranges }]) => [name, ranges]));
  }
}

type Written = Topic["ranges"];

function areSame(a: Written, b: Written): boolean {
  return a.length === b.length && a.every(({ start, end }, i) => start === b[i]?.start && end === b[i]?.end);
}

function parsed(range: Written[number]): Range[] {
  const [start, end] = [parseNanos(range.start), parseNanos(range.end)];
  return start === undefined || end === undefined ? [] : [{ start, end }];
}

function joined(ranges: Range[]): Range[] {
  const all: Range[] = [];
  for (const range of ranges.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0))) {
    const last = all.at(-1);
    if (last === undefined || last.end < range.start) all.push({ ...range });
    else if (last.end < range.end) last.end = range.end;
  }
  return all;
}

/** A CSS image as long as `all`, with a band in the element's colour for each range. */
export function bands(ranges: readonly Range[], all: Range): string {
  if (ranges.length === 0) return "none";
  const length = Number(all.end - all.start) || 1;
  const percent = (time: Nanos) =>
    `${+((Number(clamp(time, all.start, all.end) - all.start) / length) * 100).toFixed(3)}%`;
  // A stop at 0 lies where the one before it does.
  const stops = ranges.map(({ start, end }) => {
    const from = percent(start);
    return `transparent 0 min(${from}, 100% - ${LEAST_PX}px), currentColor 0 max(${percent(end)}, ${from} + ${LEAST_PX}px)`;
  });
  return `linear-gradient(90deg, ${stops.join(", ")}, transparent 0)`;
}

/** `data from 09:30:00.000 to 09:30:10.000, at 09:30:12.000`; with the days where all has several. */
export function told(ranges: readonly Range[], all: Range): string {
  if (ranges.length === 0) return "no data that is known of";
  const one = ({ start, end }: Range) => {
    const [from, to] = [clockIn(start, all), clockIn(end, all)];
    return from === to ? `at ${from}` : `from ${from} to ${to}`;
  };
  const more = ranges.length - MOST_TOLD;
  const few = ranges.slice(0, MOST_TOLD).map(one).join(", ");
  return `data ${few}${more > 0 ? `, and ${more} times more` : ""}`;
}
