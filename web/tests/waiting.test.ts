// What waits for answers, with a clock of its own.

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { type Loader, type Recording, Refused, type Source } from "../src/api/loader";
import { wait } from "../src/lib/wait";
import { follow } from "../src/views/follow";
import { Pace } from "../src/views/pace";
import { ready } from "../src/views/ready";
import { untilKnown } from "../src/views/until_known";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("one seek is under way at a time, and the last one is always sent", () => {
  const sent: number[] = [];
  const pace = new Pace<number>((asked) => sent.push(asked));
  for (let i = 1; i <= 5; i++) pace.ask(i);
  expect(sent).toEqual([1]);
  pace.answered();
  expect(sent).toEqual([1, 5]);
  pace.ask(6);
  expect(sent).toEqual([1, 5]);
  pace.now();
  expect(sent).toEqual([1, 5, 6]);
  // Nothing waits: nothing is sent again.
  pace.now();
  pace.answered();
  expect(sent).toEqual([1, 5, 6]);
  pace.ask(7);
  expect(sent).toEqual([1, 5, 6, 7]);
});

test("an answer that does not come holds nothing up for long", () => {
  const sent: number[] = [];
  const pace = new Pace<number>((asked) => sent.push(asked));
  // Two seconds of dragging.
  for (let i = 0; i < 120; i++) {
    pace.ask(i);
    vi.advanceTimersByTime(17);
  }
  expect(sent.length).toBeLessThan(6);
  vi.advanceTimersByTime(1000);
  expect(sent.at(-1)).toBe(119);
  pace.ask(500);
  pace.ask(501);
  pace.close();
  vi.advanceTimersByTime(5000);
  expect(sent.at(-1)).toBe(500);
});

test("a file that is not ready is waited for, and said what for", async () => {
  const answers = [
    new Refused(503, "not-ready", "30% are loaded", 7),
    new Refused(503, "not-ready", "60% are loaded"),
    new Response("M", { status: 206 }),
  ];
  let asked = 0;
  const ask = vi.fn(async () => {
    const answer = answers[asked++];
    if (!(answer instanceof Response)) throw answer;
    return answer;
  });
  const loader: Pick<Loader, "ask"> = { ask };
  const said: string[] = [];
  const file = new URL("https://loader/v1/files/a.mcap");
  const done = ready(loader, file, (words) => said.push(words), new AbortController().signal);
  await vi.advanceTimersByTimeAsync(6000);
  expect(asked).toBe(1);
  await vi.advanceTimersByTimeAsync(3100);
  await done;
  expect(said.slice(1)).toEqual(["30% are loaded", "60% are loaded"]);
  expect(ask).toHaveBeenCalledWith(file, expect.objectContaining({ headers: { range: "bytes=0-0" } }));
});

test("waiting for a file can be stopped, and ends at what does not pass", async () => {
  const refused = (status: number) => ({
    ask: async () => {
      throw new Refused(status, "", "no");
    },
  });
  const file = new URL("https://loader/a.mcap");
  const stop = new AbortController();
  const stopped = ready(refused(503), file, () => undefined, stop.signal).catch((error: Error) => error.message);
  await vi.advanceTimersByTimeAsync(500);
  stop.abort(new Error("stopped"));
  expect(await stopped).toBe("stopped");
  const gone = ready(refused(410), file, () => undefined, new AbortController().signal);
  await expect(gone).rejects.toMatchObject({ status: 410 });
});

test("waiting ends with its signal, and leaves nothing behind", async () => {
  const stop = new AbortController();
  const removed = vi.spyOn(stop.signal, "removeEventListener");
  const done = wait(100, stop.signal);
  await vi.advanceTimersByTimeAsync(100);
  await done;
  expect(removed).toHaveBeenCalledOnce();
  const stopped = wait(100, stop.signal);
  stop.abort(new Error("stopped"));
  await expect(stopped).rejects.toThrow("stopped");
  await expect(wait(100, stop.signal)).rejects.toThrow("stopped");
  expect(vi.getTimerCount()).toBe(0);
});

/** A loader that takes its time, and what it was asked. */
function slowLoader(tookMs: number, answers: (Partial<Recording> | Error)[]) {
  const asked = { count: 0, atOnce: 0, most: 0 };
  const recording = async () => {
    const answer = answers[asked.count++] ?? { start: null };
    asked.most = Math.max(asked.most, ++asked.atOnce);
    await new Promise((resolve) => setTimeout(resolve, tookMs));
    asked.atOnce--;
    if (answer instanceof Error) throw answer;
    return answer as Recording;
  };
  return { asked, recording };
}

test("when a recording begins is asked one question at a time", async () => {
  vi.stubGlobal("document", { hidden: false });
  const loader = slowLoader(5000, [{ start: null }, { start: "2026-01-31T09:30:00Z" }]);
  const known = untilKnown(loader, new AbortController().signal, new AbortController().signal);
  await vi.advanceTimersByTimeAsync(60_000);
  expect((await known).start).toBe("2026-01-31T09:30:00Z");
  expect(loader.asked).toEqual({ count: 2, atOnce: 0, most: 1 });
});

test("what was loaded whole, and begins nowhere, is asked about once more", async () => {
  vi.stubGlobal("document", { hidden: false });
  const loader = slowLoader(5000, []);
  const loaded = new AbortController();
  const known = untilKnown(loader, loaded.signal, new AbortController().signal);
  // A question is under way, whose answer is from before.
  await vi.advanceTimersByTimeAsync(3000);
  loaded.abort();
  await vi.advanceTimersByTimeAsync(60_000);
  expect((await known).start).toBeNull();
  expect(loader.asked).toEqual({ count: 2, atOnce: 0, most: 1 });
  const failing = untilKnown(slowLoader(1, [new Error("no")]), loaded.signal, new AbortController().signal);
  await Promise.all([expect(failing).rejects.toThrow("no"), vi.advanceTimersByTimeAsync(10)]);
});

test("a page that is hidden, or gone, asks nothing", async () => {
  const page = { hidden: true };
  vi.stubGlobal("document", page);
  const loader = slowLoader(1, []);
  const [loaded, gone] = [new AbortController(), new AbortController()];
  const known = untilKnown(loader, loaded.signal, gone.signal).catch(() => "gone");
  await vi.advanceTimersByTimeAsync(10_000);
  page.hidden = false;
  gone.abort();
  loaded.abort();
  expect(await known).toBe("gone");
  expect(loader.asked.count).toBe(0);
});

class FakeEvents extends EventTarget {
  static readonly CLOSED = 2;
  static all: FakeEvents[] = [];
  readyState = 1;
  onmessage: ((event: { data: string }) => void) | undefined;
  onerror: (() => void) | undefined;

  constructor(readonly url: URL) {
    super();
    FakeEvents.all.push(this);
  }

  close(): void {
    this.readyState = FakeEvents.CLOSED;
  }
}

function isOpen(): boolean[] {
  return FakeEvents.all.map(({ readyState }) => readyState !== FakeEvents.CLOSED);
}

test("sources are followed while the page is seen, until it is over", () => {
  const page = Object.assign(new EventTarget(), { hidden: false });
  vi.stubGlobal("document", page);
  vi.stubGlobal("EventSource", FakeEvents);
  const show = (shows: boolean) => {
    page.hidden = !shows;
    page.dispatchEvent(new Event("visibilitychange"));
  };
  const about = (path: string, more: URLSearchParams) => new URL(`https://loader/${path}?${more}`);
  const loader = { about, address: { credentials: "omit" } } as unknown as Loader;
  const told: Source[][] = [];
  let overs = 0;
  const event = ({ sources }: { sources: Source[] }) => told.push(sources);
  const stop = follow(loader, true, { event, over: () => overs++ });
  expect(FakeEvents.all[0]?.url.href).toBe("https://loader/v1/events?prefetch=true");
  FakeEvents.all[0]?.onmessage?.({ data: '{"sources":[],"problems":[]}' });
  expect(told).toEqual([[]]);
  show(false);
  expect(isOpen()).toEqual([false]);
  show(true);
  expect(isOpen()).toEqual([false, true]);
  // The browser asks again by itself, unless the loader refused.
  FakeEvents.all[1]?.onerror?.();
  expect([overs, isOpen()[1]]).toEqual([0, true]);
  FakeEvents.all[1]?.dispatchEvent(new Event("done"));
  expect([overs, isOpen()]).toEqual([1, [false, false]]);
  show(false);
  show(true);
  expect(FakeEvents.all).toHaveLength(2);
  stop();
});
