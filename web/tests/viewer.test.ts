// What the page keeps in its link, and what it opens by itself.

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { Loader, Recording, Topic } from "../src/api/loader";
import { parseLink } from "../src/lib/link";
import type { FromWorker } from "../src/player/protocol";
import { OpenPanels } from "../src/views/open_panels";
import { Viewer } from "../src/views/viewer";

const topic = (name: string, schemaName: string): Topic => ({
  name,
  schemaName,
  messageEncoding: "protobuf",
  schemaEncoding: "protobuf",
  schemaData: null,
  messageCount: null,
  ranges: [],
});
const DIAG = topic("/diag", "a.Diagnostics");
const IMU = topic("/imu", "a.Imu");
const ODOM = topic("/odom", "a.Odometry");
const CAMERA = topic("/camera", "foxglove.CompressedImage");
const LOG = topic("/log", "foxglove.Log");
const MINUTE = { start: 0n, end: 60_000_000_000n };
const HOUR = { start: 0n, end: 3_600_000_000_000n };

const names = (panels: OpenPanels) => panels.now.map((panel) => ("topic" in panel ? panel.topic : panel.kind));

test("what is open by default stays while more topics come to be known", () => {
  const panels = new OpenPanels(undefined);
  panels.openDefaults([], MINUTE);
  expect(names(panels)).toEqual([]);
  panels.openDefaults([DIAG, LOG], MINUTE);
  const before = panels.all();
  expect(names(panels)).toEqual(["/diag", "log"]);
  panels.openDefaults([DIAG, LOG, IMU, ODOM], HOUR);
  expect(panels.all()).toBe(before);
  panels.openDefaults([DIAG, LOG, IMU, ODOM, CAMERA], HOUR);
  expect(names(panels)).toEqual(["/diag", "log", "/camera"]);
  expect(panels.all()[0]).toBe(before[0]);
  expect(panels.chosen).toBeUndefined();
});

test("nothing opens by itself once somebody chose", () => {
  const closed = new OpenPanels(undefined);
  closed.openDefaults([DIAG, LOG], MINUTE);
  closed.all().forEach(({ id }) => closed.close(id));
  closed.openDefaults([DIAG, LOG, CAMERA], MINUTE);
  expect(closed.chosen).toEqual([]);
  const linked = new OpenPanels([]);
  linked.openDefaults([DIAG, LOG, CAMERA], MINUTE);
  expect(linked.chosen).toEqual([]);
});

test("what is open already is gone to, and a plot takes more fields", () => {
  const panels = new OpenPanels(undefined);
  panels.open({ kind: "raw", topic: "/imu" });
  panels.plot("/odom.x");
  const [raw, plot] = panels.all();
  panels.open({ kind: "raw", topic: "/imu" });
  expect(panels.openedLast().id).toBe(raw?.id);
  panels.plot("/odom.y");
  expect(panels.openedLast().id).toBe(plot?.id);
  expect(panels.chosen).toEqual([
    { kind: "raw", topic: "/imu" },
    { kind: "plot", fields: ["/odom.x", "/odom.y"] },
  ]);
});

class FakeWorker {
  static last: FakeWorker;
  onmessage: ((event: { data: FromWorker }) => void) | undefined;

  constructor() {
    FakeWorker.last = this;
  }

  postMessage(): void {}
  terminate(): void {}
}

const page = { search: "?ds.recording=a" };

beforeEach(() => {
  vi.useFakeTimers();
  page.search = "?ds.recording=a";
  vi.stubGlobal("Worker", FakeWorker);
  vi.stubGlobal("requestAnimationFrame", () => 0);
  vi.stubGlobal("addEventListener", () => undefined);
  vi.stubGlobal("document", Object.assign(new EventTarget(), { hidden: false }));
  vi.stubGlobal("location", page);
  vi.stubGlobal("history", {
    replaceState: (_: unknown, __: string, search: string) => (page.search = search),
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const recording = (topics: Topic[]) =>
  ({
    name: "a",
    start: "2026-01-31T09:30:00Z",
    end: "2026-01-31T09:31:00Z",
    sources: [],
    problems: [],
    topics,
  }) as unknown as Recording;
const loader = { address: { base: "https://a/", credentials: "omit", query: "" } } as Loader;
const opened = (topics: Topic[]) => new Viewer(loader, recording(topics), parseLink(page.search));
const kept = () => {
  vi.advanceTimersByTime(1100);
  return new URLSearchParams(page.search).getAll("panel");
};

test("the address says what is open only where somebody chose it", () => {
  const unknown = opened([]);
  expect(kept()).toEqual([]);
  expect(unknown.here().panels).toBeUndefined();
  // A reload opens what is known by then.
  const known = opened([ODOM, CAMERA]);
  expect(names(known.panels)).toEqual(["/camera", "/odom"]);
  expect(kept()).toEqual([]);
  // Whoever gets the link sees the same.
  expect(known.here().panels).toHaveLength(2);
  known.panels.all().forEach(({ id }) => known.panels.close(id));
  expect(kept()).toEqual(["none"]);
  expect(opened([ODOM]).panels.now).toEqual([]);
});

test("a picture for a panel that is gone is let go of", () => {
  const viewer = opened([CAMERA]);
  const close = vi.fn();
  const shown = { id: 9, time: 0n, bytes: 1, as: "picture" as const, picture: { close } as unknown as ImageBitmap };
  const status = { ...viewer.status(), state: "idle" as const };
  const say = (ids: number[]) =>
    FakeWorker.last.onmessage?.({
      data: { is: "frame", status, shown: ids.map((id) => ({ ...shown, id })), gone: [] },
    });
  // The player numbers its watches from 1 on.
  const seen = viewer.newest("/camera", "picture");
  say([1]);
  expect(seen()?.as).toBe("picture");
  expect(close).not.toHaveBeenCalled();
  say([9]);
  expect(close).toHaveBeenCalledOnce();
});
