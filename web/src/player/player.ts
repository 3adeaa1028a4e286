// The player: where in the recording it is, and what it has of it. Knows no page and no worker.
//
// A seek keeps what is shown until everything that was newest at the new moment has come, or shows it at
// once if it lies in the segment in hand. Only one stream is read at a time; what no longer matters is
// aborted.

import { clamp, type Nanos } from "../lib/nanos";
import type { Message } from "./messages";
import { LIMITS, type Limits, readOn, type Source } from "./reading";
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
  error: unknown;
  missing: readonly string[];
  /** The newest message of each topic that has one; undefined while seeking: what was shown stays. */
  newest: ReadonlyMap<string, Message> | undefined;
}

export interface Clock {
  /** Milliseconds from anywhere. */
  now(): number;
}

export class Player {
  private segment: Segment;
  private moment: Nanos;
  private topics: ReadonlySet<string> = new Set();
  private reading = new AbortController();
  private isPlaying = false;
  /** It played when it failed, and goes on when it is tried again. */
  private resumes = false;
  private speed = 1;
  private loop: { from: Nanos; to: Nanos } | undefined;
  private error: unknown;
  private missing = new Set<string>();
  private tickedAt = 0;
  private wake: (() => void) | undefined;
  /** A step back that waits for what lies before the segment. */
  private stepsBack = false;

  constructor(
    private range: { start: Nanos; end: Nanos },
    private readonly source: Source,
    private readonly clock: Clock,
    private readonly show: (frame: Frame) => void,
    private readonly limits: Limits = LIMITS,
  ) {
    this.moment = range.start;
    this.segment = new Segment(range.start, []);
    this.restart();
  }

  /** The recording turned out to be longer, or shorter. */
  setRange(range: { start: Nanos; end: Nanos }): void {
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
    if (isMore) this.restart();
    else this.present();
  }

  seek(time: Nanos): void {
    this.stepsBack = false;
    this.moment = clamp(time, this.range.start, this.range.end);
    this.tickedAt = this.clock.now();
    if (this.segment.covers(this.moment) && this.error === undefined) {
      this.wake?.();
      this.present();
    } else {
      this.restart();
    }
  }

  play(): void {
    if (this.error !== undefined) this.retry();
    const { from, to } = this.loop ?? { from: this.range.start, to: this.range.end };
    if (this.moment >= to || this.moment < from) this.seek(from);
    this.isPlaying = true;
    this.tickedAt = this.clock.now();
    this.present();
  }

  pause(): void {
    this.isPlaying = false;
    this.present();
  }

  /** To the next message of any topic that is watched, or the one before. */
  step(direction: 1 | -1): void {
    this.isPlaying = false;
    const topics = this.topics;
    if (direction === 1) {
      const next = this.segment.timeAfter(this.moment, topics);
      if (next !== undefined && next <= this.range.end) this.seek(next);
      else if (this.segment.until <= this.range.end) this.seek(this.segment.until);
      return;
    }
    const before = this.segment.timeBefore(this.moment, topics);
    if (before !== undefined && before >= this.range.start) {
      this.seek(before);
    } else if (this.segment.from < this.moment && this.segment.from > this.range.start) {
      this.restart();
      this.stepsBack = true;
    }
  }

  setSpeed(speed: number): void {
    this.speed = speed;
    this.wake?.();
  }

  setLoop(loop: { from: Nanos; to: Nanos } | undefined): void {
    this.loop = loop;
  }

  /** Reads again from the moment that is shown, and plays on if it played. */
  retry(): void {
    const { resumes } = this;
    this.restart();
    if (resumes) this.play();
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
    if (!this.isPlaying || this.error !== undefined || !this.segment.covers(this.moment)) return;
    const end = this.loop?.to ?? this.range.end;
    const goal = this.moment + BigInt(Math.round(passed * this.speed * 1e6));
    const inHand = this.segment.until - 1n;
    this.moment = goal < inHand ? goal : inHand;
    if (this.moment >= end) {
      if (this.loop !== undefined) {
        this.seek(this.loop.from);
        return;
      }
      this.moment = end;
      this.isPlaying = false;
    }
    if (this.segment.bytes > 2 * this.limits.bytesAhead) this.segment.forgetBefore(this.moment);
    this.wake?.();
    this.present();
  }

  private restart(): void {
    this.reading.abort();
    this.wake = undefined;
    this.reading = new AbortController();
    this.error = undefined;
    this.resumes = false;
    this.stepsBack = false;
    const { signal } = this.reading;
    const segment = new Segment(this.moment, this.topics);
    this.segment = segment;
    this.missing = new Set();
    if (segment.topics.size === 0) {
      // No topic would mean all of them.
      segment.from = this.range.start;
      segment.until = this.range.end + 1n;
      this.present();
      return;
    }
    const reader = {
      position: () => ({ moment: this.moment, speed: this.speed }),
      progress: (missing: readonly string[]) => {
        missing.forEach((words) => this.missing.add(words));
        this.came();
      },
      moved: async () => {
        await new Promise<void>((resolve) => (this.wake = resolve));
        signal.throwIfAborted();
      },
    };
    signal.addEventListener("abort", () => this.wake?.(), { once: true });
    readOn(segment, () => this.range.end, this.source, reader, signal, this.limits).catch((error: unknown) => {
      if (signal.aborted) return;
      this.error = error;
      this.resumes = this.isPlaying;
      this.isPlaying = false;
      this.present();
    });
    this.present();
  }

  private came(): void {
    if (this.stepsBack && this.segment.covers(this.moment)) {
      this.stepsBack = false;
      const before = this.segment.timeBefore(this.moment, this.topics);
      if (before !== undefined && before >= this.range.start) {
        this.seek(before);
        return;
      }
    }
    this.present();
  }

  private present(): void {
    const { segment, moment } = this;
    const isThere = segment.covers(moment);
    const newest = new Map<string, Message>();
    if (isThere) {
      for (const topic of this.topics) {
        const message = segment.newestAt(topic, moment);
        if (message !== undefined) newest.set(topic, message);
      }
    }
    this.show({
      state: this.state(isThere),
      moment,
      from: segment.from,
      until: segment.until,
      bytes: segment.bytes,
      error: this.error,
      missing: [...this.missing],
      newest: isThere ? newest : undefined,
    });
  }

  private state(isThere: boolean): State {
    if (this.error !== undefined) return "failed";
    if (!isThere) return "seeking";
    if (!this.isPlaying) return "idle";
    const isStarved = this.moment >= this.segment.until - 1n && this.moment < this.range.end;
    return isStarved ? "waiting" : "playing";
  }
}
