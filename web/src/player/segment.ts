// The messages in hand: of some topics, all within one stretch of time, and the newest before it.

import type { Nanos } from "../lib/nanos";
import type { Message } from "./messages";

// What a message costs besides its bytes.
const MESSAGE_BYTES = 120;

export class Segment {
  /** Every message from here on … */
  from: Nanos;
  /** … and before this time is here. */
  until: Nanos;
  bytes = 0;
  readonly topics: Set<string>;
  private readonly before = new Map<string, Message>();
  private readonly messages = new Map<string, Message[]>();

  constructor(from: Nanos, topics: Iterable<string>) {
    this.from = from;
    this.until = from;
    this.topics = new Set(topics);
  }

  covers(time: Nanos): boolean {
    return this.from <= time && time < this.until;
  }

  /** Takes messages in ascending order; those of before `from` were latched. */
  add(messages: readonly Message[]): void {
    for (const message of messages) {
      const { topic } = message.channel;
      if (!this.topics.has(topic)) continue;
      if (message.logTime < this.from) {
        this.latch(message);
        continue;
      }
      const list = this.messages.get(topic);
      if (list === undefined) this.messages.set(topic, [message]);
      else list.push(message);
      this.bytes += cost(message);
      // Others of the same time may follow.
      if (message.logTime > this.until) this.until = message.logTime;
    }
  }

  /** Forgets what lies at the end and may be there in part. */
  cutAtEnd(): void {
    for (const list of this.messages.values()) {
      while ((list.at(-1)?.logTime ?? -1n) >= this.until) {
        this.bytes -= cost(list.pop() as Message);
      }
    }
  }

  /** Nobody wants the topic any more. */
  drop(topic: string): void {
    this.topics.delete(topic);
    this.before.delete(topic);
    for (const message of this.messages.get(topic) ?? []) this.bytes -= cost(message);
    this.messages.delete(topic);
  }

  /** Forgets what is older than the time, but for the newest of each topic. */
  forgetBefore(time: Nanos): void {
    if (time <= this.from) return;
    for (const [topic, list] of this.messages) {
      const count = firstAtOrAfter(list, time);
      if (count === 0) continue;
      const gone = list.splice(0, count);
      this.bytes -= gone.reduce((sum, message) => sum + cost(message), 0);
      this.before.set(topic, gone.at(-1) as Message);
    }
    this.from = time;
  }

  /** The newest message of the topic at this time. */
  newestAt(topic: string, time: Nanos): Message | undefined {
    const list = this.messages.get(topic) ?? [];
    return list[firstAtOrAfter(list, time + 1n) - 1] ?? this.before.get(topic);
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

  /** The time of the last message before this one. */
  timeBefore(time: Nanos, topics: Iterable<string>): Nanos | undefined {
    const times = [...topics].map((topic) => this.newestAt(topic, time - 1n)?.logTime);
    return times.reduce((a, b) => (a === undefined || (b !== undefined && b > a) ? b : a), undefined);
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

  private latch(message: Message): void {
    const { topic } = message.channel;
    const known = this.before.get(topic);
    if (known === undefined || known.logTime <= message.logTime) this.before.set(topic, message);
  }
}

function cost(message: Message): number {
  return message.data.length + MESSAGE_BYTES;
}

function firstAtOrAfter(list: readonly Message[], time: Nanos): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((list[middle] as Message).logTime < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
