// What is known of the recording, kept up to date: by events while something loads, and by asking again.

import { type Accessor, batch, createMemo, createSignal, onCleanup } from "solid-js";
import { createStore, reconcile } from "solid-js/store";

import type { Loader, Recording } from "../api/loader";
import { type Range, rangeOf, roughly } from "./choices";
import { follow } from "./follow";
import { KnownSpans, type Spans } from "./spans";

// Where nothing loads, events end at once: whoever drags would ask for them all the time.
const LISTEN_MS = 2000;
// What is known is asked for again so often while the end is unknown, and while something loads; where an
// answer takes long, after so many times as long.
const LOOK_AGAIN_MS = 2000;
const LOOK_SHARE = 4;

/** What it wants to know of its viewer. */
interface Hooks {
  /** Something is about to load for it. */
  isWaiting(): boolean;
  /** What is known was asked for again. */
  looked(): void;
}

export class KnownRecording {
  readonly recording: Recording;
  readonly range: Accessor<Range>;
  /** The range for work over all of it, that does not begin anew with each bit that is known of it. */
  readonly overall: Accessor<Range>;
  readonly topicNames: Accessor<string[]>;
  /** Where in time each topic has data, as far as is known. */
  readonly spans: Accessor<Spans>;

  private readonly knownSpans = new KnownSpans();
  private readonly setStore;
  private readonly setSpans;
  private unfollow: (() => void) | undefined;
  private listenedAt = 0;
  private listensLater: ReturnType<typeof setTimeout> | undefined;
  private isLooking = false;
  private looksAgain = false;
  private lookTookMs = 0;
  private looksLater: ReturnType<typeof setTimeout> | undefined;
  private readonly gone = new AbortController();

  constructor(
    private readonly loader: Loader,
    recording: Recording,
    private readonly hooks: Hooks,
  ) {
    const [store, setStore] = createStore<Recording>(recording);
    const [spans, setSpans] = createSignal(this.knownSpans.of(recording.topics));
    this.recording = store;
    this.spans = spans;
    this.setStore = setStore;
    this.setSpans = setSpans;
    const equals = (a: Range, b: Range) => a.start === b.start && a.end === b.end;
    const range = createMemo(() => rangeOf(store), undefined, { equals });
    this.range = range;
    this.overall = createMemo(
      (before: Range | undefined): Range => (this.isEndKnown ? range() : roughly(range(), before)),
      undefined,
      { equals },
    );
    this.topicNames = createMemo(() => store.topics.map(({ name }) => name), undefined, {
      equals: (a, b) => a.length === b.length && a.every((name, i) => name === b[i]),
    });
    if (!this.isEndKnown) this.lookLater();
    onCleanup(() => {
      this.gone.abort();
      this.unfollow?.();
      clearTimeout(this.listensLater);
      clearTimeout(this.looksLater);
    });
  }

  /** How the sources come along, while something is loading. */
  listen(): void {
    if (this.unfollow !== undefined || this.isSettled || this.gone.signal.aborted) return;
    const wait = this.listenedAt + LISTEN_MS - Date.now();
    if (wait > 0) {
      this.listensLater ??= setTimeout(() => {
        this.listensLater = undefined;
        this.listen();
      }, wait);
      return;
    }
    this.listenedAt = Date.now();
    // What nobody knows the end of is loaded to find out.
    this.unfollow = follow(this.loader, !this.isEndKnown, {
      event: ({ sources, problems }) => {
        batch(() => {
          this.setStore("sources", reconcile(sources, { key: "id" }));
          this.setStore("problems", reconcile(problems, { key: null }));
        });
        if (sources.some(({ state }) => state === "loading")) this.lookLater();
      },
      over: () => {
        this.unfollow = undefined;
        void this.look();
        if (this.hooks.isWaiting()) this.listen();
      },
    });
  }

  /** Asks again what is known, such as how many messages there are, and when; one question at a time. */
  async look(): Promise<void> {
    clearTimeout(this.looksLater);
    this.looksLater = undefined;
    this.looksAgain = this.isLooking;
    if (this.isLooking) return;
    if (!document.hidden) await this.ask();
    if (this.gone.signal.aborted) return;
    if (this.looksAgain) void this.look();
    else if (!this.isEndKnown) this.lookLater();
  }

  private async ask(): Promise<void> {
    this.isLooking = true;
    const asked = performance.now();
    const recording = await this.loader.recording(this.gone.signal).catch(() => undefined);
    this.lookTookMs = performance.now() - asked;
    this.isLooking = false;
    if (recording === undefined || this.gone.signal.aborted) return;
    batch(() => {
      this.setStore(reconcile(recording, { key: "id" }));
      this.setSpans(this.knownSpans.of(recording.topics));
      this.hooks.looked();
    });
    if (recording.sources.some(({ state }) => state === "loading")) this.listen();
  }

  private lookLater(): void {
    const wait = Math.max(LOOK_AGAIN_MS, LOOK_SHARE * this.lookTookMs);
    this.looksLater ??= setTimeout(() => void this.look(), wait);
  }

  get isEndKnown(): boolean {
    return this.recording.end !== null || this.isSettled;
  }

  private get isSettled(): boolean {
    return this.recording.sources.every(({ state }) => state !== "pending" && state !== "loading");
  }
}
