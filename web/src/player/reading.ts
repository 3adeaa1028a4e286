// Reads a recording on from a moment: in windows, ahead of the player by a bounded amount, and on from
// the same place when a stream breaks off.

import { Refused, Unreachable } from "../api/loader";
import type { Selection } from "../api/loader";
import { type Nanos, SECOND } from "../lib/nanos";
import { type Batch, CutOff } from "./messages";
import type { Segment } from "./segment";

/** What reading needs of the world. */
export interface Source {
  open(selection: Selection, signal: AbortSignal): AsyncIterable<Batch>;
  /** Resolves after so long, or rejects when the signal says so. */
  wait(milliseconds: number, signal: AbortSignal): Promise<void>;
}

/** How much is read. */
export interface Limits {
  /** What a seek asks for. */
  firstWindow: Nanos;
  longestWindow: Nanos;
  /** No more bytes lie ahead of the player, but for one message of each topic. */
  bytesAhead: number;
  secondsAhead: number;
  /** How often a stream may break off without anything new. */
  tries: number;
}

export const LIMITS: Limits = {
  firstWindow: SECOND,
  longestWindow: 8n * SECOND,
  bytesAhead: 48 * 1024 * 1024,
  secondsAhead: 16,
  tries: 6,
};

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 4000;

export interface Reader {
  /** Where the player is, and how fast it goes. */
  position(): { moment: Nanos; speed: number };
  /** Something came. */
  progress(missing: readonly string[]): void;
  /** Resolves when the player has gone on; rejects when nothing is to be read any more. */
  moved(): Promise<void>;
}

/** Fills the segment to the end of the recording, which may move on; throws when it cannot. */
export async function readOn(
  segment: Segment,
  endNow: () => Nanos,
  source: Source,
  reader: Reader,
  signal: AbortSignal,
  limits: Limits = LIMITS,
): Promise<never> {
  let window = limits.firstWindow;
  let isFirst = true;
  let failures = 0;
  for (;;) {
    const end = endNow();
    if (segment.until > end || !hasRoom(segment, reader, limits)) {
      await reader.moved();
      continue;
    }
    const start = segment.until;
    const last = start + window - 1n < end ? start + window - 1n : end;
    const selection: Selection = {
      topics: [...segment.topics],
      start,
      end: last,
      ...(isFirst && { replayPolicy: "lastPerChannel" }),
    };
    try {
      if (await readWindow(segment, selection, source, reader, signal, limits)) {
        segment.until = last + 1n;
        window = window * 2n < limits.longestWindow ? window * 2n : limits.longestWindow;
        isFirst = false;
      }
      failures = 0;
      reader.progress([]);
    } catch (error) {
      signal.throwIfAborted();
      segment.cutAtEnd();
      failures = segment.until > start ? 1 : failures + 1;
      isFirst &&= segment.until === start;
      if (failures >= limits.tries || !isPassing(error)) throw error;
      await source.wait(pauseAfter(failures, error), signal);
    }
  }
}

/** Whether the window came whole: it is left early when there is no room for the rest. */
async function readWindow(
  segment: Segment,
  selection: Selection,
  source: Source,
  reader: Reader,
  signal: AbortSignal,
  limits: Limits,
): Promise<boolean> {
  const start = segment.until;
  const own = new AbortController();
  const leave = () => own.abort(signal.reason);
  signal.addEventListener("abort", leave);
  try {
    for await (const { messages, missing } of source.open(selection, own.signal)) {
      signal.throwIfAborted();
      segment.add(messages);
      reader.progress(missing);
      if (segment.until > start && isMoreAhead(segment, reader, limits.bytesAhead)) {
        segment.cutAtEnd();
        return false;
      }
    }
    return true;
  } finally {
    signal.removeEventListener("abort", leave);
    own.abort();
  }
}

function hasRoom(segment: Segment, reader: Reader, limits: Limits): boolean {
  const { moment, speed } = reader.position();
  const ahead = Number(segment.until - moment) / 1e9;
  if (ahead > limits.secondsAhead * Math.max(1, speed)) return false;
  // With some hysteresis, so that windows are not of a few messages each.
  return ahead <= 0 || !isMoreAhead(segment, reader, limits.bytesAhead / 2);
}

function isMoreAhead(segment: Segment, reader: Reader, bytes: number): boolean {
  return segment.bytes > bytes && segment.bytesAfter(reader.position().moment) > bytes;
}

/** Whether it may go better if it is tried again. */
export function isPassing(error: unknown): boolean {
  if (error instanceof Refused) return error.status === 503;
  return error instanceof Unreachable || error instanceof CutOff;
}

/** In milliseconds, after so many failures in a row. */
export function pauseAfter(failures: number, error: unknown): number {
  const asked = error instanceof Refused ? error.retryAfterSeconds : undefined;
  const pause = asked !== undefined ? asked * 1000 : FIRST_PAUSE_MS * 2 ** (failures - 1);
  return Math.min(pause, LONGEST_PAUSE_MS);
}
