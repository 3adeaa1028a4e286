import { expect, test } from "vitest";

import { McapWriter } from "@mcap/core";

import { type Loader, Refused, type Selection, Unreachable } from "../src/api/loader";
import { Errands } from "../src/player/errands";
import { Channels } from "../src/player/messages";
import type { FromWorker } from "../src/player/protocol";

/**
 * Ten messages of each topic, two at a time, a nanosecond apart; those of `/bytes` are nothing that is
 * known.
 */
async function recording({ topics, start = 0n }: Selection, lacks?: object): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let position = 0n;
  const write = async (part: Uint8Array) => {
    parts.push(part.slice());
    position += BigInt(part.length);
  };
  const writer = new McapWriter({ writable: { write, position: () => position }, chunkSize: 100 });
  await writer.start({ profile: "", library: "" });
  for (const topic of topics) {
    const messageEncoding = topic === "/bytes" ? "" : "json";
    const metadata = new Map<string, string>();
    const channelId = await writer.registerChannel({ topic, messageEncoding, schemaId: 0, metadata });
    for (let i = 0; i < 10; i++) {
      const data = new TextEncoder().encode(JSON.stringify({ x: i, level: 2, msg: `${topic} ${i}` }));
      const logTime = BigInt(i >> 1);
      if (logTime < start) continue;
      await writer.addMessage({ channelId, sequence: i, logTime, publishTime: logTime, data });
    }
  }
  if (lacks !== undefined) {
    const metadata = new Map([["missing-1", JSON.stringify(lacks)]]);
    await writer.addMetadata({ name: "remote-data-loader", metadata });
  }
  await writer.end();
  return Buffer.concat(parts);
}

class Fake {
  asked: Selection[] = [];
  running = 0;
  most = 0;
  told: FromWorker[] = [];
  /** So many streams break off after this share. */
  cuts = { count: 0, share: 0.5 };
  refusals: (Refused | Unreachable)[] = [];
  waits: number[] = [];
  lacks: object | undefined;

  readonly loader = {
    stream: async (selection: Selection) => {
      this.asked.push(selection);
      this.most = Math.max(this.most, ++this.running);
      const data = await recording(selection, this.lacks);
      const refused = this.refusals.shift();
      if (refused !== undefined) {
        this.running--;
        throw refused;
      }
      const isCut = this.cuts.count-- > 0;
      return new ReadableStream({
        start: (controller) => {
          controller.enqueue(isCut ? data.subarray(0, data.length * this.cuts.share) : data);
          if (!isCut) controller.close();
          this.running--;
        },
        // What is there is read before.
        pull: (controller) => (isCut ? controller.error(new TypeError("network error")) : undefined),
      });
    },
  } as unknown as Loader;

  readonly errands = new Errands(
    this.loader,
    new Channels(),
    (message) => this.told.push(message),
    async (milliseconds) => void this.waits.push(milliseconds),
  );

  async done(count: number): Promise<FromWorker[]> {
    const done = () => this.told.filter((message) => message.is !== "frame" && message.done);
    while (done().length < count) await new Promise((resolve) => setTimeout(resolve, 5));
    return done();
  }
}

const TIMES = { from: 0n, to: 10n, origin: 0n };

test("all lines of a plot come in one stream", async () => {
  const fake = new Fake();
  const fields = [{ topic: "/a", path: "x" }, { topic: "/b", path: "x" }, { topic: "/a", path: "y" }];
  fake.errands.begin(1, { kind: "series", fields, ...TIMES });
  const [report] = await fake.done(1);
  expect(fake.asked.map(({ topics }) => topics)).toEqual([["/a", "/b"]]);
  expect(report).toMatchObject({ is: "series", id: 1, done: true });
  const counts = (report as FromWorker & { is: "series" }).lines.map(({ values }) => values.length);
  expect(counts).toEqual([10, 10, 0]);
});

test("what cannot be decoded does not stop the rest", async () => {
  const fake = new Fake();
  fake.errands.begin(1, { kind: "logs", topics: ["/bytes", "/log"], from: 0n, to: 10n });
  const [report] = await fake.done(1);
  expect(report).toMatchObject({ is: "logs", failure: { words: expect.stringContaining("/bytes: nothing") } });
  expect((report as FromWorker & { is: "logs" }).lines).toHaveLength(10);
});

test("of more log messages than are kept, the last ones or the first are told", async () => {
  const fake = new Fake();
  const topics = Array.from({ length: 520 }, (_, i) => `/log${i}`);
  const asked = { kind: "logs" as const, topics, from: 0n, to: 10n };
  fake.errands.begin(1, asked);
  fake.errands.begin(2, { ...asked, keepsFirst: true });
  const reports = (await fake.done(2)).map((message) => message as FromWorker & { is: "logs" });
  const [last, first] = reports.sort((a, b) => a.id - b.id);
  expect([last?.lines.length, last?.left, last?.lines.at(-1)?.topic]).toEqual([5000, 200, "/log519"]);
  expect([first?.lines.length, first?.left, first?.lines[0]?.topic]).toEqual([5000, 200, "/log0"]);
});

test("two streams at a time, and what is ended is not begun", async () => {
  const fake = new Fake();
  const fields = [{ topic: "/a", path: "x" }];
  for (let id = 1; id <= 6; id++) fake.errands.begin(id, { kind: "series", fields, ...TIMES });
  fake.errands.end(5);
  const ids = (await fake.done(5)).map((message) => (message as { id: number }).id);
  expect(ids.sort()).toEqual([1, 2, 3, 4, 6]);
  expect(fake.most).toBe(2);
});

test("a stream that breaks off goes on where it was, without doubles", async () => {
  for (const share of [0.2, 0.4, 0.6, 0.8]) {
    const fake = new Fake();
    fake.cuts = { count: 3, share };
    fake.errands.begin(1, { kind: "logs", topics: ["/log"], from: 0n, to: 10n });
    const [report] = await fake.done(1);
    const lines = (report as FromWorker & { is: "logs" }).lines.map(({ text }) => text);
    expect(lines).toEqual(Array.from({ length: 10 }, (_, i) => `/log ${i}`));
    expect(fake.asked.length).toBe(4);
    expect(report).not.toHaveProperty("failure");
  }
});

test("sources that fail are left out where that was said, and what the answer lacks is told", async () => {
  const fake = new Fake();
  fake.errands.begin(1, { kind: "logs", topics: ["/log"], from: 0n, to: 10n });
  await fake.done(1);
  fake.errands.partial = true;
  fake.lacks = { code: "source-failed", source: "rear", count: 1, message: "it answered 500" };
  fake.errands.begin(2, { kind: "logs", topics: ["/bytes"], from: 0n, to: 10n });
  const [, report] = await fake.done(2);
  expect(fake.asked.map(({ partial }) => partial)).toEqual([false, true]);
  const words = "rear failed and was left out: it answered 500; /bytes: nothing here reads an unnamed encoding without a schema";
  expect(report).toMatchObject({ failure: { code: "missing", words } });
});

test("a loader that is not ready is asked again, and one that refuses is not", async () => {
  const fake = new Fake();
  fake.refusals = [new Unreachable(), new Refused(503, "busy", "no memory is left", 7)];
  fake.errands.begin(1, { kind: "logs", topics: ["/log"], from: 0n, to: 10n });
  expect((await fake.done(1))[0]).toMatchObject({ lines: { length: 10 } });
  expect(fake.waits).toEqual([250, 7000]);
  fake.refusals = [new Refused(403, "forbidden", "not yours")];
  fake.errands.begin(2, { kind: "logs", topics: ["/log"], from: 0n, to: 10n });
  expect((await fake.done(2))[1]).toMatchObject({ failure: { words: "not yours", status: 403 } });
});
