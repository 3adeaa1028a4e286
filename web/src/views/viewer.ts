// What the page knows, as signals; and what it does.

import { batch, createMemo, createSignal, onCleanup, type Accessor } from "solid-js";
import { createStore, reconcile } from "solid-js/store";

import type { Loader, Recording, RecordingEvent, Topic } from "../api/loader";
import { formatLink, type PageLink, type Panel } from "../lib/link";
import { clamp, type Nanos } from "../lib/nanos";
import type { Errand, Shown, Status, Watch } from "../player/protocol";
import { RemotePlayer, type Report } from "../player/remote";
import { defaultPanels, panelFor, type Range, rangeOf, stretchOf } from "./choices";
import { KnownSpans, type Spans } from "./spans";

/** One that stays itself when what it shows changes. */
export interface OpenPanel {
  readonly id: number;
  readonly panel: Accessor<Panel>;
  readonly change: (panel: Panel) => void;
}

export const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 5, 10];

// Browsers allow few changes of the address in a while.
const LINK_MS = 1000;
// Where nothing loads, events end at once: whoever drags would ask for them all the time.
const LISTEN_MS = 2000;
// What is known is asked for again so often while times are unknown, and while something loads; where an
// answer takes long, after so many times as long.
const LOOK_AGAIN_MS = 2000;
const LOOK_SHARE = 4;

export class Viewer {
  readonly recording: Recording;
  readonly range: Accessor<Range>;
  readonly status: Accessor<Status>;
  readonly isPlaying: Accessor<boolean>;
  readonly panels: Accessor<OpenPanel[]>;
  readonly selected: Accessor<ReadonlySet<string>>;
  readonly stretch: Accessor<Range | undefined>;
  /** Where in time each topic has data, as far as is known. */
  readonly spans: Accessor<Spans>;
  /** The topic that is pointed at, among the topics. */
  readonly pointed: Accessor<string | undefined>;
  readonly speed: Accessor<number>;
  readonly loops: Accessor<boolean>;
  /** Counts how often somebody said to try again. */
  readonly tries: Accessor<number>;

  private readonly player: RemotePlayer;
  private readonly shown = new Map<number, (shown: Shown | undefined) => void>();
  private readonly knownSpans = new KnownSpans();
  private readonly set;
  private lastPanel = 0;
  private events: EventSource | undefined;
  private listenedAt = 0;
  private listensLater: ReturnType<typeof setTimeout> | undefined;
  private isLooking = false;
  private looksAgain = false;
  private lookTookMs = 0;
  private looksLater: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly loader: Loader,
    recording: Recording,
    private readonly link: PageLink,
  ) {
    const [store, setStore] = createStore<Recording>(recording);
    this.recording = store;
    const range = createMemo(() => rangeOf(store), undefined, {
      equals: (a, b) => a.start === b.start && a.end === b.end,
    });
    this.range = range;
    const { start, end } = range();
    const moment = clamp(link.at ?? link.start ?? start, start, end);
    const nothing: Status = { state: "seeking", moment, from: moment, until: moment, bytes: 0, missing: [] };
    const [status, setStatus] = createSignal<Status>(nothing);
    const [isPlaying, setPlaying] = createSignal(false);
    const panels = (link.panels ?? defaultPanels(recording.topics, range())).map((panel) => this.numbered(panel));
    const [open, setOpen] = createSignal(panels);
    const [selected, setSelected] = createSignal<ReadonlySet<string>>(new Set(link.topics));
    const [stretch, setStretch] = createSignal(stretchOf(link, range()));
    const [spans, setSpans] = createSignal(this.knownSpans.of(recording.topics));
    const [pointed, setPointed] = createSignal<string>();
    const [speed, setSpeed] = createSignal(1);
    const [loops, setLoops] = createSignal(false);
    const [tries, setTries] = createSignal(0);
    this.status = status;
    this.isPlaying = isPlaying;
    this.panels = open;
    this.selected = selected;
    this.stretch = stretch;
    this.spans = spans;
    this.pointed = pointed;
    this.speed = speed;
    this.loops = loops;
    this.tries = tries;
    const more = { setSpans, setPointed, setSpeed, setLoops, setTries };
    this.set = { setStore, setStatus, setPlaying, setOpen, setSelected, setStretch, ...more };

    this.player = new RemotePlayer({
      frame: (status, shown, gone) =>
        batch(() => {
          const { state } = status;
          // What is read ahead may have to be loaded.
          if (status.until !== this.status().until) this.listen();
          setStatus(status);
          setPlaying((was) => state === "playing" || state === "waiting" || (was && state === "seeking"));
          shown.forEach((one) => this.shown.get(one.id)?.(one));
          gone.forEach((id) => this.shown.get(id)?.(undefined));
        }),
    });
    this.player.open(loader.address, range(), moment);
    this.listen();
    this.keepLink();
    onCleanup(() => {
      this.player.close();
      this.events?.close();
      clearTimeout(this.listensLater);
      clearTimeout(this.looksLater);
    });
  }

  // What is played

  seek(time: Nanos): void {
    const { start, end } = this.range();
    const moment = clamp(time, start, end);
    // At once, so that what is dragged follows the hand.
    this.set.setStatus((status) => ({ ...status, moment }));
    this.player.tell({ do: "seek", time: moment });
    this.listen();
  }

  toggle(): void {
    const isPlaying = !this.isPlaying();
    this.set.setPlaying(isPlaying);
    this.player.tell({ do: isPlaying ? "play" : "pause" });
    if (isPlaying) this.listen();
  }

  step(direction: 1 | -1): void {
    this.set.setPlaying(false);
    this.player.tell({ do: "step", direction });
  }

  setSpeed(speed: number): void {
    this.set.setSpeed(speed);
    this.player.tell({ do: "speed", speed });
  }

  setLoops(loops: boolean): void {
    this.set.setLoops(loops);
    this.tellOfLoop();
  }

  retry(): void {
    this.set.setTries((count) => count + 1);
    this.player.tell({ do: "retry" });
  }

  // What is selected

  select(stretch: Range | undefined): void {
    this.set.setStretch(stretch);
    this.tellOfLoop();
  }

  toggleTopic(name: string): void {
    this.set.setSelected((before) => {
      const after = new Set(before);
      if (!after.delete(name)) after.add(name);
      return after;
    });
  }

  setSelected(names: Iterable<string>): void {
    this.set.setSelected(new Set(names));
  }

  point(topic: string | undefined): void {
    this.set.setPointed(topic);
  }

  // What is open

  openPanel(panel: Panel): void {
    this.set.setOpen((panels) => [...panels, this.numbered(panel)]);
  }

  openTopic(topic: Topic): void {
    this.openPanel(panelFor(topic));
  }

  closePanel(id: number): void {
    this.set.setOpen((panels) => panels.filter((one) => one.id !== id));
  }

  /** Puts a field into the plot that is open, or into a new one. */
  plot(field: string): void {
    for (const { panel, change } of this.panels()) {
      const now = panel();
      if (now.kind !== "plot") continue;
      if (!now.fields.includes(field)) change({ kind: "plot", fields: [...now.fields, field] });
      return;
    }
    this.openPanel({ kind: "plot", fields: [field] });
  }

  /** The newest message of a topic, as long as whoever asks is there. */
  newest(topic: string, as: Watch["as"]): Accessor<Shown | undefined> {
    const [shown, setShown] = createSignal<Shown>();
    const id = this.player.watch(topic, as);
    this.shown.set(id, setShown);
    onCleanup(() => {
      this.player.unwatch(id);
      this.shown.delete(id);
    });
    return shown;
  }

  /** Work beside the player; call what is returned when its result is of no use any more. */
  begin(errand: Errand, report: (report: Report) => void): () => void {
    const id = this.player.begin(errand, report);
    return () => this.player.end(id);
  }

  /** The link to what is seen now. */
  here(): PageLink {
    const stretch = this.stretch();
    return {
      ...this.link,
      at: this.status().moment,
      start: stretch?.start,
      end: stretch?.end,
      topics: [...this.selected()],
      panels: this.panels().map(({ panel }) => panel()),
    };
  }

  private numbered(panel: Panel): OpenPanel {
    const [now, change] = createSignal(panel);
    return { id: ++this.lastPanel, panel: now, change: (panel) => change(panel) };
  }

  private tellOfLoop(): void {
    const { start, end } = this.stretch() ?? this.range();
    this.player.tell({ do: "loop", loop: this.loops() ? { from: start, to: end } : undefined });
  }

  private keepLink(): void {
    const keep = () => {
      const search = formatLink(this.here());
      if (search !== location.search) history.replaceState(null, "", search);
    };
    const timer = setInterval(keep, LINK_MS);
    addEventListener("pagehide", keep);
    onCleanup(() => {
      clearInterval(timer);
      removeEventListener("pagehide", keep);
    });
  }

  /** How the sources come along, while the page is seen and something is loading. */
  private listen(): void {
    const isSettled = this.recording.sources.every(({ state }) => state !== "pending" && state !== "loading");
    if (this.events !== undefined || document.hidden || isSettled) return;
    const wait = this.listenedAt + LISTEN_MS - Date.now();
    if (wait > 0) {
      this.listensLater ??= setTimeout(() => {
        this.listensLater = undefined;
        this.listen();
      }, wait);
      return;
    }
    this.listenedAt = Date.now();
    const { credentials } = this.loader.address;
    const events = new EventSource(this.loader.about("v1/events"), {
      withCredentials: credentials === "include",
    });
    this.events = events;
    const stop = () => {
      events.close();
      document.removeEventListener("visibilitychange", hide);
      if (this.events === events) this.events = undefined;
    };
    const hide = () => {
      if (!document.hidden) return;
      stop();
      this.listenedAt = 0;
      document.addEventListener("visibilitychange", () => this.listen(), { once: true });
    };
    document.addEventListener("visibilitychange", hide);
    events.onmessage = ({ data }: MessageEvent<string>) => {
      const { sources, problems } = JSON.parse(data) as RecordingEvent;
      this.set.setStore("sources", reconcile(sources, { key: "id" }));
      this.set.setStore("problems", reconcile(problems, { key: null }));
      if (sources.some(({ state }) => state === "loading")) this.lookLater();
    };
    const finished = () => {
      stop();
      void this.look();
    };
    events.addEventListener("done", finished);
    events.addEventListener("failed", finished);
    events.onerror = stop;
  }

  /** Asks again what is known, such as how many messages there are, and when. */
  private async look(): Promise<void> {
    clearTimeout(this.looksLater);
    this.looksLater = undefined;
    // One at a time.
    this.looksAgain = this.isLooking;
    if (this.isLooking) return;
    this.isLooking = true;
    const asked = performance.now();
    const recording = await this.loader.recording().catch(() => undefined);
    this.lookTookMs = performance.now() - asked;
    this.isLooking = false;
    if (recording !== undefined) this.take(recording);
    if (this.looksAgain) void this.look();
    else if (recording?.end === null) this.lookLater();
  }

  private lookLater(): void {
    const wait = Math.max(LOOK_AGAIN_MS, LOOK_SHARE * this.lookTookMs);
    this.looksLater ??= setTimeout(() => void this.look(), wait);
  }

  private take(recording: Recording): void {
    const before = this.range();
    batch(() => {
      this.set.setStore(reconcile(recording, { key: "id" }));
      this.set.setSpans(this.knownSpans.of(recording.topics));
    });
    const after = this.range();
    if (after.start !== before.start || after.end !== before.end) {
      this.player.tell({ do: "range", ...after });
    }
  }
}
