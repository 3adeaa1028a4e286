// The messages in hand: of some topics, all within one stretch of time, and before it what is still shown:
// the newest of each topic, of a video all from its key frame on.

import { type Nanos, SECOND } from "../lib/nanos";
import { firstWhere } from "../lib/search";
import type { Message } from "./messages";

// What a message costs besides its bytes.
const MESSAGE_BYTES = 120;
// Of a video no more is kept before the stretch, however far its key frame lies back.
const MOST_RUN_BYTES = 64 * 1024 * 1024;
// Sources that lie further back are not loaded by the loader just to look back.
const LOOKBACK = 1800n * SECOND;

export class Segment {
  /** Every message from here on … */
  from: Nanos;
  /** … and before this time is here. */
  until: Nanos;
  bytes = 0;
  /** What was newest before `from` has still to come. */
  looksBack = true;
  readonly topics: Set<string>;
  /** In ascending order. */
  private readonly messages = new Map<string, Message[]>();

  constructor(
    private readonly begun: Nanos,
    topics: Iterable<string>,
  ) {
    this.from = begun;
    this.until = begun;
    this.topics = new Set(topics);
  }

  covers(time: Nanos): boolean {
    return this.from <= time && time < this.until;
  }

  /** Takes messages in ascending order; at first those that were newest before `from`. */
  add(messages: readonly Message[]): void {
    for (const message of messages) {
      const { topic } = message.channel;
      if (!this.topics.has(topic)) continue;
      const isBefore = this.looksBack && message.logTime < this.begun;
      if (!isBefore) this.hasLookedBack();
      const list = this.listOf(topic);
      if (isBefore && message.isDelta !== true) this.forget(list, list.length);
      list.push(message);
      this.bytes += cost(message);
      // Others of the same time may follow.
      if (message.logTime > this.until) this.until = message.logTime;
    }
  }

  /** Everything before this time has come. */
  reach(time: Nanos): void {
    this.hasLookedBack();
    this.until = time;
  }

  /** Forgets what lies at the end and may be there in part. */
  cutAtEnd(): void {
    for (const list of this.messages.values()) {
      while (list.length > 0 && (this.looksBack || (list.at(-1) as Message).logTime >= this.until)) {
        this.bytes -= cost(list.pop() as Message);
      }
    }
  }

  /** Nobody wants the topic any more. */
  drop(topic: string): void {
    this.topics.delete(topic);
    const list = this.listOf(topic);
    this.forget(list, list.length);
    this.messages.delete(topic);
  }

  /** Forgets what is older than the time, but for what is still shown. */
  forgetBefore(time: Nanos): void {
    if (time <= this.from) return;
    let from = this.from;
    for (const list of this.messages.values()) {
      this.forget(list, firstOfRun(list, firstAtOrAfter(list, time), MOST_RUN_BYTES));
      const first = list[0]?.logTime;
      if (first !== undefined && first < time && first > from) from = first;
    }
    this.from = from;
  }

  /** The newest message of the topic at this time, last; before it those that it is made of. */
  runAt(topic: string, time: Nanos): readonly Message[] {
    const list = this.messages.get(topic) ?? [];
    const end = firstAtOrAfter(list, time + 1n);
    return list.slice(firstOfRun(list, end, Infinity), end);
  }

  /** The time of the first message after this one. */
  timeAfter(time: Nanos, topics: Iterable<string>): Nanos | undefined {
    let next: Nanos | undefined;
    for (const topic of topics) {
      const list = this.messages.get(topic) ?? [];
      const found = list[firstAtOrAfter(list, time + 1n)]?.logTime;
      if (found !== undefined && (next === undefined || found < next)) next = found;
    }
    return next;
  }

  /** The time of the last message before this one, if that is in hand. */
  timeBefore(time: Nanos, topics: Iterable<string>): Nanos | undefined {
    let last: Nanos | undefined;
    for (const topic of topics) {
      const list = this.messages.get(topic) ?? [];
      const found = list[firstAtOrAfter(list, time) - 1]?.logTime;
      if (found !== undefined && found >= this.from && (last === undefined || found > last)) last = found;
    }
    return last;
  }

  /** How many bytes lie after this time. */
  bytesAfter(time: Nanos): number {
    let sum = 0;
    for (const list of this.messages.values()) {
      for (let i = list.length - 1; i >= 0; i--) {
        const message = list[i] as Message;
        if (message.logTime <= time) break;
        sum += cost(message);
      }
    }
    return sum;
  }

  /** From what was newest before it on, a topic is here, too. */
  private hasLookedBack(): void {
    if (!this.looksBack) return;
    this.looksBack = false;
    let from = this.begun - LOOKBACK;
    for (const [first] of this.messages.values()) {
      if (first !== undefined && first.logTime > from) from = first.logTime;
    }
    this.from = from;
  }

  private listOf(topic: string): Message[] {
    let list = this.messages.get(topic);
    if (list === undefined) this.messages.set(topic, (list = []));
    return list;
  }

  private forget(list: Message[], count: number): void {
    for (const message of list.splice(0, count)) this.bytes -= cost(message);
  }
}

function cost(message: Message): number {
  return message.data.length + MESSAGE_BYTES;
}

/** Where that begins which the message before this place is made of; 0 if nothing lies before. */
function firstOfRun(list: readonly Message[], end: number, mostBytes: number): number {
  let at = end - 1;
  for (let sum = 0; at > 0 && list[at]?.isDelta === true; at--) {
    sum += cost(list[at] as Message);
    if (sum > mostBytes) break;
  }
  return Math.max(at, 0);
}

function firstAtOrAfter(list: readonly Message[], time: Nanos): number {
  return firstWhere(list, ({ logTime }) => logTime >= time);
}
