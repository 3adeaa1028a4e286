// Work over the whole range beside the player: lines of plots, log messages. Two streams at a time.

import type { Loader } from "../api/loader";
import type { Nanos } from "../lib/nanos";
import { wait } from "../lib/wait";
import { decoderOf } from "./decode";
import { logLine, type LogLine } from "./logs";
import { type Batch, type Channels, type Message, readMessages } from "./messages";
import { WhatIsMissing } from "./missing";
import { numberAt, parsePath, type Step } from "./path";
import type { Errand, FromWorker } from "./protocol";
import { failureOf } from "./failure";
import { isPassing, LIMITS, pauseAfter } from "./reading";
import { Series } from "./series";

const MOST_STREAMS = 2;
const MOST_LOG_LINES = 5000;
// How often it is told how far an errand has come.
const REPORT_MS = 200;

interface Work {
  take(message: Message, value: unknown): void;
  report(done: boolean): FromWorker;
  readonly isFull?: boolean;
}

export class Errands {
  private readonly waiting = new Map<number, Errand>();
  private readonly running = new Map<number, AbortController>();
  /** Sources that fail are left out. */
  partial = false;

  constructor(
    private readonly loader: Loader,
    private readonly channels: Channels,
    private readonly tell: (message: FromWorker) => void,
    private readonly pause = wait,
  ) {}

  begin(id: number, errand: Errand): void {
    this.waiting.set(id, errand);
    this.next();
  }

  end(id: number): void {
    this.waiting.delete(id);
    this.running.get(id)?.abort();
  }

  private next(): void {
    for (const [id, errand] of this.waiting) {
      if (this.running.size >= MOST_STREAMS) return;
      this.waiting.delete(id);
      const abort = new AbortController();
      this.running.set(id, abort);
      const work = errand.kind === "series" ? new Plotting(id, errand) : new Listing(id, errand);
      this.run(errand, work, abort.signal)
        .catch((error: unknown) => {
          if (!abort.signal.aborted) this.tell({ ...work.report(true), failure: failureOf(error) } as FromWorker);
        })
        .finally(() => {
          this.running.delete(id);
          this.next();
        });
    }
  }

  private async run(errand: Errand, work: Work, signal: AbortSignal): Promise<void> {
    const named = errand.kind === "series" ? errand.fields.map(({ topic }) => topic) : errand.topics;
    const topics = [...new Set(named)];
    const unread = new Map<string, string>();
    const lacks = new WhatIsMissing();
    let told = performance.now();
    const take = async (message: Message) => {
      const decoder = await decoderOf(message.channel);
      try {
        if ("why" in decoder) unread.set(message.channel.topic, decoder.why);
        else work.take(message, decoder(message.data));
      } catch (error) {
        unread.set(message.channel.topic, failureOf(error).words);
      }
    };
    for await (const { messages, missing } of this.whole(topics, errand.from, errand.to, signal)) {
      for (const message of messages) await take(message);
      lacks.add(missing);
      signal.throwIfAborted();
      if (work.isFull) break;
      if (performance.now() - told > REPORT_MS) {
        told = performance.now();
        this.tell(work.report(false));
      }
    }
    const said = [...lacks.words, ...[...unread].map(([topic, why]) => `${topic}: ${why}`)];
    const code = lacks.words.length > 0 ? "missing" : "unread";
    this.tell({ ...work.report(true), ...(said.length > 0 && { failure: { words: said.join("; "), code } }) });
  }

  /** Every message once, though the stream may break off: others of the time it came to may follow. */
  private async *whole(topics: string[], from: Nanos, end: Nanos, signal: AbortSignal): AsyncGenerator<Batch> {
    let start = from;
    let taken = 0;
    for (let failures = 0; ; ) {
      let skip = taken;
      try {
        const stream = await this.loader.stream({ topics, start, end, partial: this.partial }, signal);
        for await (const { messages, missing } of readMessages(stream, this.channels)) {
          const fresh = messages.slice(Math.min(skip, messages.length));
          skip -= messages.length - fresh.length;
          for (const { logTime } of fresh) {
            taken = logTime === start ? taken + 1 : 1;
            start = logTime;
          }
          if (fresh.length > 0) failures = 0;
          yield { messages: fresh, missing };
        }
        return;
      } catch (error) {
        signal.throwIfAborted();
        failures += 1;
        if (failures >= LIMITS.tries || !isPassing(error)) throw error;
        await this.pause(pauseAfter(failures, error), signal);
      }
    }
  }
}

class Plotting implements Work {
  private readonly fields: { topic: string; steps: Step[] | undefined; series: Series }[];
  private readonly byTopic: Map<string, typeof this.fields>;

  constructor(
    private readonly id: number,
    { fields, from, to, origin }: Errand & { kind: "series" },
  ) {
    this.fields = fields.map(({ topic, path }) => ({
      topic,
      steps: parsePath(path),
      series: new Series(from, to, origin),
    }));
    this.byTopic = new Map(
      this.fields.map(({ topic }) => [topic, this.fields.filter((field) => field.topic === topic)]),
    );
  }

  take(message: Message, value: unknown): void {
    for (const { steps, series } of this.byTopic.get(message.channel.topic) ?? []) {
      const number = steps && numberAt(value, steps);
      if (number !== undefined) series.add(message.logTime, number);
    }
  }

  report(done: boolean): FromWorker {
    return { is: "series", id: this.id, lines: this.fields.map(({ series }) => series.line()), done };
  }
}

class Listing implements Work {
  private lines: LogLine[] = [];
  private count = 0;

  constructor(
    private readonly id: number,
    private readonly errand: Errand & { kind: "logs" },
  ) {}

  take({ logTime, channel }: Message, value: unknown): void {
    this.count += 1;
    if (this.isFull) return;
    this.lines.push(logLine(logTime, channel.topic, channel.schema?.name ?? "", value));
    // The newest; with room, so that not every line moves them all.
    if (this.lines.length > 2 * MOST_LOG_LINES) this.lines = this.lines.slice(-MOST_LOG_LINES);
  }

  report(done: boolean): FromWorker {
    const lines = this.lines.slice(-MOST_LOG_LINES);
    return { is: "logs", id: this.id, lines, left: this.count - lines.length, done };
  }

  /** Nothing that follows would be kept. */
  get isFull(): boolean {
    return this.errand.keepsFirst === true && this.count > MOST_LOG_LINES;
  }
}
