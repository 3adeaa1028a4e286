import { expect, test } from "vitest";

import { Refused, type Selection } from "../src/api/loader";
import { type Batch, type Channel, CutOff, type Message } from "../src/player/messages";
import { missingOf } from "../src/player/missing";
import { type Frame, Player } from "../src/player/player";
import { LIMITS, type Limits, type Streams } from "../src/player/reading";

const SECOND = 1_000_000_000n;
const END = 60n * SECOND;

const channel = (topic: string): Channel => ({ topic, messageEncoding: "json", schema: undefined });
const FAST = channel("/fast"); // every 100 ms
const SLOW = channel("/slow"); // every 7 s
const VIDEO = channel("/video"); // every 100 ms, with a key frame every second
const CHANNELS: [Channel, bigint][] = [[FAST, SECOND / 10n], [SLOW, 7n * SECOND], [VIDEO, SECOND / 10n]];

const keyBefore = (time: bigint) => time - 1n - ((time - 1n) % SECOND);

/** A loader with a recording of a minute, that can be cut off. */
class Fake implements Streams {
  asked: Selection[] = [];
  aborted = 0;
  /** Cuts this many streams after so many messages. */
  cuts = { count: 0, after: 3 };
  refuse: Refused | undefined;
  /** From here on all is refused. */
  brokenFrom: bigint | undefined;
  end = END;
  waits: number[] = [];
  messageBytes = 10;
  /** What each answer lacks. */
  lacks: (asked: number) => string[] = () => [];
  held: Promise<void> | undefined;

  async *open(selection: Selection, signal: AbortSignal): AsyncGenerator<Batch> {
    this.asked.push(selection);
    signal.addEventListener("abort", () => this.aborted++);
    await this.held;
    if (this.refuse !== undefined) throw this.refuse;
    const { brokenFrom } = this;
    if (brokenFrom !== undefined && (selection.end ?? END) >= brokenFrom) throw new Refused(502, "source-failed", "away");
    const isCut = this.cuts.count > 0;
    if (isCut) this.cuts.count--;
    let sent = 0;
    for (const message of this.messages(selection)) {
      signal.throwIfAborted();
      if (isCut && sent === this.cuts.after) throw new CutOff("cut");
      sent += 1;
      yield { messages: [message], missing: [] };
    }
    yield { messages: [], missing: this.lacks(this.asked.length).map(missingOf) };
  }

  wait(milliseconds: number): Promise<void> {
    this.waits.push(milliseconds);
    return Promise.resolve();
  }

  private messages({ topics, start = 0n, end = this.end, replayPolicy }: Selection): Message[] {
    const all: Message[] = [];
    for (const [channel, period] of CHANNELS.filter(([{ topic }]) => topics.includes(topic))) {
      for (let time = 0n; time <= end && time <= this.end; time += period) {
        const isDelta = channel === VIDEO && time % SECOND !== 0n;
        const isLast = channel === VIDEO ? time >= keyBefore(start) : time + period >= start;
        if (time >= start || (isLast && replayPolicy === "lastPerChannel")) {
          all.push({ channel, logTime: time, data: new Uint8Array(this.messageBytes), isDelta });
        }
      }
    }
    return all.sort((a, b) => (a.logTime < b.logTime ? -1 : a.logTime > b.logTime ? 1 : 0));
  }
}

class Stage {
  readonly fake = new Fake();
  readonly frames: Frame[] = [];
  time = 0;
  readonly player: Player;

  constructor(limits: Partial<Limits> = {}) {
    const show = (frame: Frame) => this.frames.push(frame);
    const clock = { now: () => this.time };
    this.player = new Player({ start: 0n, end: END }, this.fake, clock, show, { ...LIMITS, ...limits });
  }

  get last(): Frame {
    return this.frames.at(-1) as Frame;
  }

  newest(topic: string): bigint | undefined {
    return this.last.newest?.get(topic)?.at(-1)?.logTime;
  }

  async settled(): Promise<void> {
    for (let i = 0; i < 3000; i++) await Promise.resolve();
  }

  /** Lets so many seconds pass, as the worker does. */
  async pass(seconds: number): Promise<void> {
    for (let i = 0; i < seconds * 50; i++) {
      this.time += 20;
      this.player.tick();
      for (let j = 0; j < 100; j++) await Promise.resolve();
    }
  }
}

test("a seek asks for what was newest and a short window, and reads ahead within bounds", async () => {
  const stage = new Stage();
  const { player, fake } = stage;
  player.watch(["/fast", "/slow"]);
  await stage.settled();
  player.seek(30n * SECOND);
  await stage.settled();
  const of30 = fake.asked.filter(({ start = 0n }) => start >= 30n * SECOND);
  expect(of30[0]).toEqual({
    topics: ["/fast", "/slow"],
    start: 30n * SECOND,
    end: 31n * SECOND - 1n,
    replayPolicy: "lastPerChannel",
  });
  expect(of30.slice(1).every(({ replayPolicy }) => replayPolicy === undefined)).toBe(true);
  const furthest = of30.at(-1)?.end ?? 0n;
  expect(furthest).toBeLessThan(30n * SECOND + 26n * SECOND);
});

test("what is shown is the newest of each topic at the moment", async () => {
  const stage = new Stage();
  stage.player.watch(["/fast", "/slow"]);
  stage.player.seek(30n * SECOND + 50_000_000n);
  expect(stage.last.state).toBe("seeking");
  expect(stage.last.newest).toBeUndefined();
  await stage.settled();
  expect(stage.last.state).toBe("idle");
  expect(stage.newest("/fast")).toBe(30n * SECOND);
  expect(stage.newest("/slow")).toBe(28n * SECOND);
});

test("a seek within what is in hand asks nothing", async () => {
  const stage = new Stage();
  stage.player.watch(["/fast"]);
  await stage.settled();
  const asked = stage.fake.asked.length;
  stage.player.seek(3n * SECOND);
  expect(stage.last.state).toBe("idle");
  expect(stage.newest("/fast")).toBe(3n * SECOND);
  expect(stage.fake.asked.length).toBe(asked);
});

test("a seek elsewhere aborts what is being read", async () => {
  const stage = new Stage();
  let go = () => {};
  stage.fake.held = new Promise((resolve) => (go = resolve));
  stage.player.watch(["/fast"]);
  stage.player.seek(20n * SECOND);
  stage.player.seek(40n * SECOND);
  expect(stage.fake.aborted).toBe(2);
  go();
  await stage.settled();
  expect(stage.last.moment).toBe(40n * SECOND);
  expect(stage.newest("/fast")).toBe(40n * SECOND);
});

test("playing moves the moment by the clock and the speed, and ends at the end", async () => {
  const stage = new Stage();
  stage.player.watch(["/fast"]);
  await stage.settled();
  stage.player.play();
  await stage.pass(5);
  expect(stage.last.state).toBe("playing");
  expect(stage.last.moment).toBe(5n * SECOND);
  stage.player.setSpeed(10);
  await stage.pass(2);
  expect(stage.last.moment).toBe(25n * SECOND);
  await stage.pass(10);
  expect(stage.last).toMatchObject({ state: "idle", moment: END });
  expect(stage.newest("/fast")).toBe(END);
});

test("a loop begins again", async () => {
  const stage = new Stage();
  stage.player.watch(["/fast"]);
  stage.player.setLoop({ from: 10n * SECOND, to: 12n * SECOND });
  stage.player.play();
  await stage.settled();
  await stage.pass(3);
  expect(stage.last.state).toBe("playing");
  expect(stage.last.moment).toBeGreaterThan(10n * SECOND);
  expect(stage.last.moment).toBeLessThan(12n * SECOND);
});

test("steps go from message to message, also to what lies before what is in hand", async () => {
  const stage = new Stage();
  stage.player.watch(["/fast"]);
  stage.player.seek(30n * SECOND + 1n);
  await stage.settled();
  stage.player.step(1);
  expect(stage.last.moment).toBe(30n * SECOND + SECOND / 10n);
  stage.player.step(-1);
  expect(stage.last.moment).toBe(30n * SECOND);
  await stage.settled();
  stage.player.step(-1);
  await stage.settled();
  expect(stage.last.moment).toBe(30n * SECOND - SECOND / 10n);
});

test("a video is there from its key frame on: steps back ask nothing until they are before it", async () => {
  const stage = new Stage();
  const run = () => stage.last.newest?.get("/video")?.map(({ logTime }) => Number(logTime / (SECOND / 10n)));
  stage.player.watch(["/video"]);
  stage.player.seek(30n * SECOND + (SECOND * 3n) / 10n);
  await stage.settled();
  expect(run()).toEqual([300, 301, 302, 303]);
  const asked = stage.fake.asked.length;
  for (const end of [302, 301, 300]) {
    stage.player.step(-1);
    expect(run()?.at(0)).toBe(300);
    expect(run()?.at(-1)).toBe(end);
  }
  expect(stage.fake.asked.length).toBe(asked);
  stage.player.step(-1);
  await stage.settled();
  expect(run()).toEqual([290, 291, 292, 293, 294, 295, 296, 297, 298, 299]);
  expect(stage.fake.asked.filter(({ replayPolicy }) => replayPolicy !== undefined)).toHaveLength(3);
});

test("a stream that breaks off goes on where it was, without doubles", async () => {
  const stage = new Stage();
  stage.fake.cuts = { count: 4, after: 3 };
  stage.player.watch(["/fast", "/slow"]);
  await stage.settled();
  expect(stage.last.state).toBe("idle");
  const steps: bigint[] = [];
  for (let i = 0; i < 25; i++) {
    stage.player.step(1);
    steps.push(stage.last.moment);
  }
  expect(steps).toEqual(Array.from({ length: 25 }, (_, i) => (BigInt(i + 1) * SECOND) / 10n));
});

test("a stream that breaks off again and again fails, and a retry goes on from the same moment", async () => {
  const stage = new Stage();
  stage.player.watch(["/fast"]);
  stage.player.seek(20n * SECOND);
  stage.fake.cuts = { count: 1000, after: 0 };
  stage.player.seek(40n * SECOND);
  await stage.settled();
  expect(stage.last.state).toBe("failed");
  expect(stage.last.error).toBeInstanceOf(CutOff);
  stage.fake.cuts.count = 0;
  stage.player.retry();
  await stage.settled();
  expect(stage.last).toMatchObject({ state: "idle", moment: 40n * SECOND });
});

test("what played when it failed plays on after a retry, and nothing else does", async () => {
  const stage = new Stage({ secondsAhead: 1 });
  stage.player.watch(["/fast"]);
  await stage.settled();
  stage.player.play();
  stage.fake.refuse = new Refused(502, "source-failed", "away");
  for (let i = 0; i < 40 && stage.last.state !== "failed"; i++) {
    stage.time += 100;
    stage.player.tick();
    await stage.settled();
  }
  const { state, moment } = stage.last;
  expect(state).toBe("failed");
  stage.fake.refuse = undefined;
  stage.player.retry();
  await stage.settled();
  expect(stage.last).toMatchObject({ state: "playing", moment });
  stage.player.pause();
  stage.player.retry();
  await stage.settled();
  expect(stage.last).toMatchObject({ state: "idle", moment });
});

test("a refusal is not asked again; a loader that is not ready is", async () => {
  const stage = new Stage();
  stage.fake.refuse = new Refused(403, "forbidden", "not yours");
  stage.player.watch(["/fast"]);
  await stage.settled();
  expect(stage.fake.asked.length).toBe(1);
  expect(stage.last.state).toBe("failed");
  stage.fake.refuse = new Refused(503, "busy", "later", 1);
  stage.player.retry();
  await stage.settled();
  expect(stage.fake.asked.length).toBe(1 + LIMITS.tries);
});

test("memory is bounded, however large the messages are", async () => {
  const limits = { bytesAhead: 1_000_000 };
  const stage = new Stage(limits);
  stage.fake.messageBytes = 100_000;
  stage.player.watch(["/fast"]);
  stage.player.setLoop({ from: 0n, to: 50n * SECOND });
  await stage.settled();
  stage.player.play();
  await stage.pass(30);
  expect(stage.last.state).toBe("playing");
  expect(stage.last.moment).toBe(30n * SECOND);
  expect(Math.max(...stage.frames.map(({ bytes }) => bytes))).toBeLessThan(3.2 * limits.bytesAhead);
});

test("memory is bounded without playing, too", async () => {
  const limits = { bytesAhead: 1_000_000 };
  for (const move of [(stage: Stage) => stage.player.step(1), (stage: Stage, i: number) => stage.player.seek((BigInt(i) * SECOND) / 10n)]) {
    const stage = new Stage(limits);
    stage.fake.messageBytes = 100_000;
    stage.player.watch(["/fast"]);
    await stage.settled();
    for (let i = 1; i < 500; i++) {
      move(stage, i);
      for (let j = 0; j < 100; j++) await Promise.resolve();
    }
    expect(stage.last.moment).toBeGreaterThan(45n * SECOND);
    expect(Math.max(...stage.frames.map(({ bytes }) => bytes))).toBeLessThan(3.2 * limits.bytesAhead);
  }
});

test("what is in hand is played, though what follows fails", async () => {
  const stage = new Stage();
  stage.fake.brokenFrom = 12n * SECOND;
  stage.player.watch(["/fast"]);
  await stage.settled();
  expect(stage.last.state).toBe("idle");
  stage.player.play();
  await stage.pass(5);
  expect(stage.last).toMatchObject({ state: "playing", moment: 5n * SECOND });
  const asked = stage.fake.asked.length;
  stage.player.seek(2n * SECOND);
  expect(stage.last.state).toBe("playing");
  expect(stage.fake.asked.length).toBe(asked);
  await stage.pass(10);
  // A second, two, and four were read.
  expect(stage.last).toMatchObject({ state: "failed", moment: 7n * SECOND - 1n });
  expect(stage.last.error).toBeInstanceOf(Refused);
  stage.fake.brokenFrom = undefined;
  stage.player.retry();
  await stage.pass(5);
  expect(stage.last.state).toBe("playing");
  expect(stage.last.moment).toBeGreaterThan(11n * SECOND);
  // Nothing of before was asked for again.
  expect(stage.fake.asked.at(-1)?.start).toBeGreaterThanOrEqual(7n * SECOND);
});

test("a step or the same seek while seeking asks nothing more", async () => {
  const stage = new Stage();
  stage.player.watch(["/fast"]);
  stage.fake.held = new Promise(() => undefined);
  stage.player.seek(30n * SECOND);
  const asked = stage.fake.asked.length;
  for (let i = 0; i < 10; i++) {
    stage.player.step(1);
    stage.player.step(-1);
    stage.player.seek(30n * SECOND);
  }
  expect(stage.fake.asked.length).toBe(asked);
});

test("a step goes to the next message, however far it is", async () => {
  const stage = new Stage({ secondsAhead: 2, longestSpan: SECOND });
  stage.player.watch(["/slow"]);
  stage.player.seek(SECOND);
  await stage.settled();
  stage.player.step(1);
  expect(stage.last.state).toBe("seeking");
  await stage.settled();
  expect(stage.last).toMatchObject({ state: "idle", moment: 7n * SECOND });
  expect(stage.newest("/slow")).toBe(7n * SECOND);
  stage.player.seek(57n * SECOND);
  await stage.settled();
  stage.player.step(1);
  await stage.settled();
  expect(stage.last).toMatchObject({ state: "idle", moment: 57n * SECOND });
});

test("whoever goes elsewhere while a far message is looked for stays there, and is read to", async () => {
  for (const go of ["seek", "play"] as const) {
    const stage = new Stage({ secondsAhead: 2, longestSpan: SECOND });
    stage.player.watch(["/slow"]);
    stage.player.seek(SECOND);
    await stage.settled();
    let found = () => {};
    stage.fake.held = new Promise((resolve) => (found = resolve));
    stage.player.step(1);
    const asked = stage.fake.asked.length;
    for (let i = 0; i < 10; i++) stage.player.step(1);
    expect(stage.fake.asked.length).toBe(asked);
    if (go === "seek") stage.player.seek(2n * SECOND);
    else stage.player.play();
    found();
    await stage.pass(1);
    expect(stage.last.moment).toBe(2n * SECOND);
    expect(stage.last.state).toBe(go === "seek" ? "idle" : "playing");
    await stage.pass(4);
    expect(stage.last.moment).toBe(go === "seek" ? 2n * SECOND : 6n * SECOND);
  }
});

test("a far message that cannot be looked for fails where what is in hand ends", async () => {
  const stage = new Stage({ secondsAhead: 2, longestSpan: SECOND });
  stage.player.watch(["/slow"]);
  stage.player.seek(SECOND);
  await stage.settled();
  const { until } = stage.last;
  stage.fake.refuse = new Refused(503, "busy", "later", 1);
  stage.player.step(1);
  await stage.settled();
  expect(stage.fake.waits).toHaveLength(LIMITS.tries - 1);
  expect(stage.last).toMatchObject({ state: "failed", moment: until - 1n, error: stage.fake.refuse });
  stage.fake.refuse = undefined;
  stage.player.retry();
  await stage.settled();
  expect(stage.last.state).toBe("idle");
});

test("what answers lack is said once, with what was said last", async () => {
  const stage = new Stage();
  const one = (code: string, source: string, count: number) => JSON.stringify({ code, source, count });
  stage.fake.lacks = (asked) => [one("late-messages", "a", asked), one("damaged-chunk", "b", 1)];
  stage.player.watch(["/fast"]);
  await stage.settled();
  const { missing } = stage.last;
  expect(missing).toHaveLength(2);
  expect(missing[0]).toContain(`${stage.fake.asked.length} messages of a`);
});

test("what failed is read again without the topic that failed", async () => {
  const stage = new Stage();
  stage.player.watch(["/fast"]);
  await stage.settled();
  stage.fake.refuse = new Refused(502, "bad-gateway", "away");
  stage.player.watch(["/fast", "/slow"]);
  await stage.settled();
  expect(stage.last.state).toBe("failed");
  stage.fake.refuse = undefined;
  stage.player.watch(["/fast"]);
  await stage.settled();
  expect(stage.last.state).toBe("idle");
});

test("what is not shown any more is not read any more", async () => {
  const stage = new Stage();
  stage.player.watch(["/fast", "/slow"]);
  await stage.settled();
  const before = stage.last.bytes;
  stage.player.watch(["/slow"]);
  expect(stage.last.bytes).toBeLessThan(before / 10);
  const asked = stage.fake.asked.length;
  stage.player.play();
  await stage.pass(20);
  const later = stage.fake.asked.slice(asked);
  expect(later.length).toBeGreaterThan(0);
  expect(later.every(({ topics }) => topics.join() === "/slow")).toBe(true);
});

test("a loop that reaches beyond the recording begins again at its end", async () => {
  const stage = new Stage();
  stage.player.watch(["/fast"]);
  stage.player.setLoop({ from: 58n * SECOND, to: 100n * SECOND });
  stage.player.play();
  await stage.settled();
  await stage.pass(3);
  expect(stage.last.state).toBe("playing");
  expect(stage.last.moment).toBeLessThan(60n * SECOND);
  stage.player.setLoop({ from: 70n * SECOND, to: 100n * SECOND });
  await stage.pass(3);
  expect(stage.last).toMatchObject({ state: "idle", moment: END });
});

test("a recording that turns out to be longer is read on, and played on", async () => {
  const stage = new Stage();
  stage.fake.end = 100n * SECOND;
  stage.player.watch(["/fast"]);
  stage.player.seek(50n * SECOND);
  await stage.settled();
  stage.player.play();
  await stage.pass(1);
  const asked = stage.fake.asked.length;
  stage.player.setRange({ start: 0n, end: 100n * SECOND });
  expect(stage.last.state).toBe("playing");
  await stage.pass(14);
  expect(stage.last).toMatchObject({ state: "playing", moment: 65n * SECOND });
  expect(stage.newest("/fast")).toBe(65n * SECOND);
  expect(stage.fake.asked.slice(asked).every(({ start = 0n }) => start > END)).toBe(true);
  stage.player.setRange({ start: 0n, end: 40n * SECOND });
  await stage.settled();
  expect(stage.last.moment).toBe(40n * SECOND);
});

test("at the end of a recording that grows, playing waits for more", async () => {
  const stage = new Stage();
  stage.player.setRange({ start: 0n, end: 2n * SECOND, grows: true });
  stage.player.watch(["/fast"]);
  await stage.settled();
  stage.player.play();
  await stage.pass(4);
  expect(stage.last).toMatchObject({ state: "waiting", moment: 2n * SECOND });
  stage.player.setRange({ start: 0n, end: 4n * SECOND, grows: true });
  await stage.pass(1);
  expect(stage.last.state).toBe("playing");
  stage.player.pause();
  stage.player.seek(4n * SECOND);
  stage.player.play();
  expect(stage.last).toMatchObject({ state: "waiting", moment: 4n * SECOND });
  stage.player.setRange({ start: 0n, end: 4n * SECOND });
  await stage.pass(1);
  expect(stage.last).toMatchObject({ state: "idle", moment: 4n * SECOND });
});

test("a loader that says when to ask again is asked then", async () => {
  const stage = new Stage();
  stage.fake.refuse = new Refused(503, "busy", "no memory is left", 30);
  stage.player.watch(["/fast"]);
  await stage.settled();
  expect(stage.fake.waits).toEqual([30_000, 30_000, 30_000, 30_000, 30_000]);
  const waiting = stage.frames.find(({ state, error }) => state === "seeking" && error !== undefined);
  expect(waiting?.error).toMatchObject({ message: "no memory is left" });
});

test("a recording that grows is read on, without beginning anew", async () => {
  const stage = new Stage();
  stage.player.setRange({ start: 0n, end: 2n * SECOND });
  stage.player.watch(["/fast"]);
  await stage.settled();
  stage.player.play();
  await stage.pass(1);
  const asked = stage.fake.asked.length;
  for (let end = 3n; end <= 6n; end++) {
    stage.player.setRange({ start: 0n, end: end * SECOND });
    expect(stage.last.state).toBe("playing");
    await stage.pass(0.5);
  }
  const more = stage.fake.asked.slice(asked);
  expect(more.every(({ replayPolicy }) => replayPolicy === undefined)).toBe(true);
  expect(stage.fake.aborted).toBe(stage.fake.asked.length);
  expect(stage.last).toMatchObject({ state: "playing", moment: 3n * SECOND, until: 6n * SECOND + 1n });
  // Shorter after all: the moment lies within.
  stage.player.setRange({ start: 0n, end: SECOND });
  expect(stage.last.moment).toBe(SECOND);
});

test("without topics nothing is asked", async () => {
  const stage = new Stage();
  stage.player.seek(30n * SECOND);
  stage.player.play();
  await stage.pass(1);
  expect(stage.last).toMatchObject({ state: "playing", moment: 31n * SECOND });
  expect(stage.fake.asked).toEqual([]);
});
