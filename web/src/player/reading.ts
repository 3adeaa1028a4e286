// Reads a recording on from a moment: in spans of time, ahead of the player by a bounded amount, and on from
// the same place when a stream breaks off.

import { Refused, Unreachable } from "../api/loader";
import type { Selection } from "../api/loader";
import { type Nanos, SECOND } from "../lib/nanos";
import { type Batch, CutOff } from "./messages";
import type { Missing } from "./missing";
import type { Segment } from "./segment";

/** What reading needs of the world. */
export interface Streams {
  open(selection: Selection, signal: AbortSignal): AsyncIterable<Batch>;
  /** Resolves after so long, or rejects when the signal says so. */
  wait(milliseconds: number, signal: AbortSignal): Promise<void>;
}

/** How much is read. */
export interface Limits {
  /** What a seek asks for. */
  firstSpan: Nanos;
  longestSpan: Nanos;
  /** No more bytes lie ahead of the player, but for one message of each topic. */
  bytesAhead: number;
  secondsAhead: number;
  /** How often a stream may break off without anything new. */
  tries: number;
}

export const LIMITS: Limits = {
  firstSpan: SECOND,
  longestSpan: 8n * SECOND,
  bytesAhead: 48 * 1024 * 1024,
  secondsAhead: 16,
  tries: 6,
};

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 4000;
const LONGEST_ASKED_MS = 60_000;

interface Reader {
  /** Where the player is, and how fast it goes. */
  position(): { moment: Nanos; speed: number };
  /** The last time to be read: it may lie later the next time. */
  end(): Nanos;
  /** Something came. */
  progress(missing: readonly Missing[]): void;
  /** It is tried again in a while. */
  failed(error: unknown): void;
  /** Resolves when the player has gone on; rejects when nothing is to be read any more. */
  moved(): Promise<void>;
}

/** Fills the segment to the end of the recording, which may move on; throws when it cannot. */
export async function readOn(
  segment: Segment,
  streams: Streams,
  reader: Reader,
  signal: AbortSignal,
  limits: Limits = LIMITS,
): Promise<never> {
  let span = limits.firstSpan;
  let failures = 0;
  for (;;) {
    const end = reader.end();
    if (segment.until > end || !hasRoom(segment, reader, limits)) {
      await reader.moved();
      continue;
    }
    const start = segment.until;
    const last = start + span - 1n < end ? start + span - 1n : end;
    const selection: Selection = {
      topics: [...segment.topics],
      start,
      end: last,
      ...(segment.looksBack && { replayPolicy: "lastPerChannel" }),
    };
    try {
      if (await readSpan(segment, selection, streams, reader, signal, limits)) {
        segment.reach(last + 1n);
        span = span * 2n < limits.longestSpan ? span * 2n : limits.longestSpan;
      }
      failures = 0;
      reader.progress([]);
    } catch (error) {
      signal.throwIfAborted();
      segment.cutAtEnd();
      failures = segment.until > start ? 1 : failures + 1;
      if (failures >= limits.tries || !isPassing(error)) throw error;
      reader.failed(error);
      await streams.wait(pauseAfter(failures, error), signal);
    }
  }
}

/** The time of the first message from a time on, if there is one; throws when it cannot be found out. */
export async function firstFrom(
  start: Nanos,
  end: Nanos,
  topics: readonly string[],
  streams: Streams,
  signal: AbortSignal,
  limits: Limits = LIMITS,
): Promise<Nanos | undefined> {
  for (let failures = 1; ; failures++) {
    try {
      return await firstIn({ topics, start, end }, streams, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (failures >= limits.tries || !isPassing(error)) throw error;
      await streams.wait(pauseAfter(failures, error), signal);
    }
  }
}

async function firstIn(selection: Selection, streams: Streams, signal: AbortSignal): Promise<Nanos | undefined> {
  const own = new AbortController();
  const leave = () => own.abort(signal.reason);
  signal.addEventListener("abort", leave);
  try {
    for await (const { messages } of streams.open(selection, own.signal)) {
      const [first] = messages;
      if (first !== undefined) return first.logTime;
    }
    return undefined;
  } finally {
    signal.removeEventListener("abort", leave);
    own.abort();
  }
}

/** Whether the span came whole: it is left early when there is no room for the rest. */
async function readSpan(
  segment: Segment,
  selection: Selection,
  streams: Streams,
  reader: Reader,
  signal: AbortSignal,
  limits: Limits,
): Promise<boolean> {
  const start = segment.until;
  const own = new AbortController();
  const leave = () => own.abort(signal.reason);
  signal.addEventListener("abort", leave);
  try {
    for await (const { messages, missing } of streams.open(selection, own.signal)) {
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
  // With some hysteresis, so that spans are not of a few messages each.
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

/** How long to wait before that, in milliseconds: as long as the loader says, where it says so. */
export function pauseAfter(failures: number, error: unknown): number {
  const asked = error instanceof Refused ? error.retryAfterSeconds : undefined;
  if (asked !== undefined) return Math.min(asked * 1000, LONGEST_ASKED_MS);
  return Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS);
}
