import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { FromWorker, Pong, Status, ToWorker } from "../src/player/protocol";
import { RemotePlayer } from "../src/player/remote";

class FakeWorker {
  static all: FakeWorker[] = [];
  told: ToWorker[] = [];
  isStuck = false;
  isTerminated = false;
  onmessage: ((event: { data: FromWorker | Pong }) => void) | undefined;

  constructor() {
    FakeWorker.all.push(this);
  }

  postMessage(message: ToWorker): void {
    this.told.push(message);
    if (message.do === "ping" && !this.isStuck) this.say({ is: "pong" });
  }

  say(data: FromWorker | Pong): void {
    this.onmessage?.({ data });
  }

  terminate(): void {
    this.isTerminated = true;
  }

  kinds(): string[] {
    return this.told.map((message) => message.do);
  }
}

const STATUS: Status = { state: "idle", moment: 3n, serial: 0, from: 0n, until: 9n, bytes: 0, missing: [] };

let statuses: Status[];
let player: RemotePlayer;
const newest = () => FakeWorker.all.at(-1) as FakeWorker;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("Worker", FakeWorker);
  vi.stubGlobal("requestAnimationFrame", (then: () => void) => void then());
  FakeWorker.all = [];
  statuses = [];
  player = new RemotePlayer({ frame: (status) => void statuses.push(status) });
  player.open({ base: "http://a/", credentials: "omit", query: "" }, { start: 0n, end: 9n }, 1n);
});

afterEach(() => {
  player.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("a worker that answers is left alone, and one that is not asked is not bothered", () => {
  vi.advanceTimersByTime(20_000);
  expect(newest().kinds()).toEqual(["open"]);
  newest().say({ is: "frame", status: STATUS, shown: [], gone: [] });
  vi.advanceTimersByTime(20_000);
  expect(newest().kinds()).toEqual(["open", "shown", "ping"]);
  expect(statuses).toEqual([STATUS]);
  player.retry(3n, false);
  expect(newest().kinds().at(-1)).toBe("retry");
});

test("a worker that is stuck is told of, and started again with what it has to know", async () => {
  const id = player.watch("/a", "tree");
  player.tell({ do: "speed", speed: 2 });
  player.tell({ do: "seek", time: 3n, serial: 1 });
  await Promise.resolve();
  newest().say({ is: "frame", status: STATUS, shown: [], gone: [] });
  newest().isStuck = true;
  vi.advanceTimersByTime(4000);
  expect(statuses).toHaveLength(1);
  vi.advanceTimersByTime(4000);
  expect(statuses.slice(1)).toMatchObject([{ state: "failed", moment: 3n, failure: { code: "stuck" } }]);
  const [first] = FakeWorker.all;
  player.retry(5n, true);
  expect(first?.isTerminated).toBe(true);
  expect(newest().told).toMatchObject([
    { do: "open", moment: 5n, partial: true },
    { do: "speed", speed: 2 },
    { do: "seek", time: 5n },
    { do: "watch", watches: [{ id, topic: "/a" }] },
  ]);
});

test("one that is stuck before it showed anything is told of; one that is not here yet is waited for", () => {
  newest().isStuck = true;
  vi.advanceTimersByTime(60_000);
  expect(statuses).toEqual([]);
  newest().say({ is: "pong" });
  vi.advanceTimersByTime(8000);
  expect(statuses).toMatchObject([{ state: "failed", moment: 1n, failure: { code: "stuck" } }]);
});

test("one that answers after all goes on", () => {
  newest().say({ is: "frame", status: STATUS, shown: [], gone: [] });
  newest().isStuck = true;
  vi.advanceTimersByTime(8000);
  newest().say({ is: "pong" });
  expect(statuses.map(({ state }) => state)).toEqual(["idle", "failed", "idle"]);
  player.retry(3n, false);
  expect(FakeWorker.all).toHaveLength(1);
});
