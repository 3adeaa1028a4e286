// The player: where in the recording it is, and what it has of it. Knows no page and no worker.
//
// A seek keeps what is shown until everything that was newest at the new moment has come, or shows it at
// once if it lies in the segment in hand. Only one stream is read at a time; what no longer matters is
// aborted. When reading fails, what is in hand is played nevertheless.

import { clamp, type Nanos } from "../lib/nanos";
import type { Message } from "./messages";
import { type Missing, WhatIsMissing } from "./missing";
import { firstFrom, LIMITS, type Limits, readOn, type Streams } from "./reading";
import { Segment } from "./segment";

/**
 * - `idle`: shows its moment
 * - `seeking`: waits for what belongs to its moment
 * - `playing`
 * - `waiting`: would play, and has nothing to go on with yet
 * - `failed`: `error` says why; `retry` tries from the same moment
 */
export type State = "idle" | "seeking" | "playing" | "waiting" | "failed";

export interface Frame {
  state: State;
  moment: Nanos;
  /** What is in hand. */
  from: Nanos;
  until: Nanos;
  bytes: number;
  /** Why it failed; or, in other states, why it has to wait. */
  error: unknown;
  missing: readonly string[];
  /**
   * The newest message of each topic that has one, last; before it those that a video's is made of.
   * Undefined while seeking: what was shown stays.
   */
  newest: ReadonlyMap<string, readonly Message[]> | undefined;
}

interface Clock {
  /** Milliseconds from anywhere. */
  now(): number;
}

/** The times of the recording; that may grow, as far as anybody knows. */
export interface Range {
  start: Nanos;
  end: Nanos;
  grows?: boolean;
}

interface Loop {
  from: Nanos;
  to: Nanos;
}

export class Player {
  private segment: Segment;
  private moment: Nanos;
  private topics: ReadonlySet<string> = new Set();
  private reading = new AbortController();
  private isReading = false;
  private isPlaying = false;
  /** It played when it failed, and goes on when it is tried again. */
  private resumes = false;
  private speed = 1;
  private loop: Loop | undefined;
  /** Why nothing is read any more. */
  private error: unknown;
  /** Why it is tried again. */
  private trouble: unknown;
  private missing = new WhatIsMissing();
  private tickedAt = 0;
  private wake: (() => void) | undefined;
  /** A step that waits for what lies outside the segment. */
  private stepping: 1 | -1 | undefined;

  constructor(
    private range: Range,
    private readonly streams: Streams,
    private readonly clock: Clock,
    private readonly show: (frame: Frame) => void,
    private readonly limits: Limits = LIMITS,
  ) {
    this.moment = range.start;
    this.segment = new Segment(range.start, []);
    this.restart();
  }

  /** The recording turned out to be longer, or shorter. */
  setRange(range: Range): void {
    this.range = range;
    const moment = clamp(this.moment, range.start, range.end);
    if (moment !== this.moment) {
      this.seek(moment);
    } else if (this.segment.topics.size === 0) {
      this.restart();
    } else {
      this.wake?.();
      this.present();
    }
  }

  watch(topics: Iterable<string>): void {
    this.topics = new Set(topics);
    const isMore = [...this.topics].some((topic) => !this.segment.topics.has(topic));
    if (isMore || this.topics.size === 0) {
      this.restart();
      return;
    }
    [...this.segment.topics].filter((topic) => !this.topics.has(topic)).forEach((topic) => this.segment.drop(topic));
    // What could not be read may have been of those.
    if (this.error !== undefined) this.read();
    else this.resume();
    this.present();
  }

  seek(time: Nanos): void {
    const moment = clamp(time, this.range.start, this.range.end);
    const isSought = moment === this.moment && this.isReading && this.stepping === undefined;
    this.stepping = undefined;
    this.moment = moment;
    this.tickedAt = this.clock.now();
    if (this.segment.covers(moment)) {
      this.resume();
      this.goneOn();
    } else if (!isSought) {
      this.restart();
    }
  }

  play(): void {
    const { from, to } = this.stretch();
    if ((this.moment >= to && !this.growsFrom(to)) || this.moment < from) this.seek(from);
    this.isPlaying = true;
    this.tickedAt = this.clock.now();
    if (this.state() === "failed") this.retry();
    else this.resume();
    this.present();
  }

  pause(): void {
    this.isPlaying = false;
    this.present();
  }

  /** To the next message of any topic that is watched, or the one before. */
  step(direction: 1 | -1): void {
    if (this.stepping === direction) return;
    this.isPlaying = false;
    const { segment, moment, topics, range } = this;
    if (!segment.covers(moment)) {
      this.present();
    } else if (direction === 1) {
      const next = segment.timeAfter(moment, topics);
      if (next !== undefined) this.seek(next);
      else if (segment.until <= range.end && topics.size > 0) this.stepFar();
    } else {
      const before = segment.timeBefore(moment, topics);
      if (before !== undefined) {
        this.seek(before);
      } else if (segment.from > range.start) {
        this.restart();
        this.stepping = -1;
      }
    }
  }

  setSpeed(speed: number): void {
    this.speed = speed;
    this.wake?.();
  }

  setLoop(loop: Loop | undefined): void {
    this.loop = loop;
  }

  /** Reads on, with what is in hand if that is of use, and plays on if it played. */
  retry(): void {
    this.isPlaying ||= this.resumes;
    this.tickedAt = this.clock.now();
    if (this.segment.covers(this.moment) && this.missing.words.length === 0) this.read();
    else this.restart();
  }

  close(): void {
    this.reading.abort();
  }

  get wantsTicks(): boolean {
    return this.isPlaying;
  }

  /** Goes on as far as time has passed and messages are in hand. */
  tick(): void {
    const now = this.clock.now();
    const passed = now - this.tickedAt;
    this.tickedAt = now;
    if (!this.isPlaying || !this.segment.covers(this.moment)) return;
    const { from, to, loops } = this.stretch();
    const goal = this.moment + BigInt(Math.round(passed * this.speed * 1e6));
    const inHand = this.segment.until - 1n;
    this.moment = goal < inHand ? goal : inHand;
    if (this.moment >= to) {
      if (loops) {
        this.seek(from);
        return;
      }
      this.moment = to;
      this.isPlaying = this.growsFrom(to);
    }
    this.haltIfFailed();
    this.goneOn();
  }

  /** What is played: to the end, or round and round. */
  private stretch(): Loop & { loops: boolean } {
    const { start, end } = this.range;
    const from = clamp(this.loop?.from ?? start, start, end);
    const to = clamp(this.loop?.to ?? end, start, end);
    return from < to ? { from, to, loops: this.loop !== undefined } : { from: start, to: end, loops: false };
  }

  /** Whether more may come after this time, which nobody knows of yet. */
  private growsFrom(time: Nanos): boolean {
    return this.range.grows === true && time >= this.range.end;
  }

  private goneOn(): void {
    if (this.segment.bytes > 2 * this.limits.bytesAhead) this.segment.forgetBefore(this.moment);
    this.wake?.();
    this.present();
  }

  /** To a message that lies beyond what is in hand, however far. */
  private stepFar(): void {
    const signal = this.stop();
    this.stepping = 1;
    this.present();
    firstFrom(this.segment.until, this.range.end, [...this.topics], this.streams, signal, this.limits).then(
      (time) => {
        if (signal.aborted) return;
        if (time === undefined) this.read();
        else this.seek(time);
      },
      (error: unknown) => {
        if (signal.aborted) return;
        // It fails where what is in hand ends.
        this.moment = this.segment.until - 1n;
        this.stepping = undefined;
        this.fail(error, signal);
      },
    );
  }

  /** Forgets everything, and reads from the moment on. */
  private restart(): void {
    this.segment = new Segment(this.moment, this.topics);
    this.missing = new WhatIsMissing();
    if (this.topics.size > 0) {
      this.read();
      return;
    }
    // No topic would mean all of them.
    this.stop();
    this.segment.from = this.range.start;
    this.segment.until = this.range.end + 1n;
    this.present();
  }

  /** Reads on, unless that goes on already, or failed; what is looked for far away is not, any more. */
  private resume(): void {
    if (!this.isReading && this.error === undefined && this.topics.size > 0) this.read();
  }

  private stop(): AbortSignal {
    this.reading.abort();
    this.reading = new AbortController();
    this.wake = undefined;
    this.error = undefined;
    this.trouble = undefined;
    this.stepping = undefined;
    this.resumes = false;
    this.isReading = false;
    return this.reading.signal;
  }

  /** Reads on from where the segment ends. */
  private read(): void {
    const signal = this.stop();
    const reader = {
      position: () => ({ moment: this.moment, speed: this.speed }),
      end: () => this.range.end,
      progress: (missing: readonly Missing[]) => {
        this.trouble = undefined;
        this.missing.add(missing);
        this.came();
      },
      failed: (error: unknown) => {
        this.trouble = error;
        this.present();
      },
      moved: async () => {
        await new Promise<void>((resolve) => (this.wake = resolve));
        signal.throwIfAborted();
      },
    };
    signal.addEventListener("abort", () => this.wake?.(), { once: true });
    this.isReading = true;
    readOn(this.segment, this.streams, reader, signal, this.limits).catch((error: unknown) => this.fail(error, signal));
    this.present();
  }

  private fail(error: unknown, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.isReading = false;
    this.error = error;
    this.haltIfFailed();
    this.present();
  }

  private haltIfFailed(): void {
    if (!this.isPlaying || this.state() !== "failed") return;
    this.isPlaying = false;
    this.resumes = true;
  }

  private came(): void {
    if (this.stepping === -1 && this.segment.covers(this.moment)) {
      this.stepping = undefined;
      const before = this.segment.timeBefore(this.moment, this.topics);
      if (before !== undefined) {
        this.seek(before);
        return;
      }
    }
    this.present();
  }

  private present(): void {
    const { segment, moment } = this;
    const isThere = segment.covers(moment);
    const newest = new Map<string, readonly Message[]>();
    if (isThere) {
      for (const topic of this.topics) {
        const run = segment.runAt(topic, moment);
        if (run.length > 0) newest.set(topic, run);
      }
    }
    const state = this.state();
    this.show({
      state,
      moment,
      from: segment.from > this.range.start ? segment.from : this.range.start,
      until: segment.until,
      bytes: segment.bytes,
      error: state === "failed" ? this.error : this.trouble,
      missing: this.missing.words,
      newest: isThere ? newest : undefined,
    });
  }

  private state(): State {
    const { segment, moment } = this;
    const isThere = segment.covers(moment);
    const isAtEnd = moment >= segment.until - 1n && (moment < this.range.end || this.growsFrom(moment));
    if (this.error !== undefined && (!isThere || isAtEnd)) return "failed";
    if (!isThere || this.stepping !== undefined) return "seeking";
    if (!this.isPlaying) return "idle";
    return isAtEnd ? "waiting" : "playing";
  }
}
