// What the page knows, as signals; and what it does.

import { type Accessor, batch, createEffect, createSignal, on, onCleanup } from "solid-js";

import type { Loader, Recording } from "../api/loader";
import { formatLink, type PageLink } from "../lib/link";
import { clamp, type Nanos } from "../lib/nanos";
import type { Errand, Shown, Status, Watch } from "../player/protocol";
import { RemotePlayer, type Report } from "../player/remote";
import { type Range, stretchOf } from "./choices";
import { KnownRecording } from "./known";
import { OpenPanels } from "./open_panels";
import { Pace } from "./pace";
import { clockIn } from "./words";

export const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 5, 10];

// Browsers allow few changes of the address in a while.
const LINK_MS = 1000;

export class Viewer {
  readonly known: KnownRecording;
  readonly panels: OpenPanels;
  readonly status: Accessor<Status>;
  readonly isPlaying: Accessor<boolean>;
  readonly selected: Accessor<ReadonlySet<string>>;
  readonly stretch: Accessor<Range | undefined>;
  /** The topic that is pointed at, among the topics. */
  readonly pointed: Accessor<string | undefined>;
  readonly speed: Accessor<number>;
  readonly loops: Accessor<boolean>;
  /** Counts how often somebody said to try again. */
  readonly tries: Accessor<number>;
  /** The link selects a time, and none that the recording has. */
  readonly selectsNothing: boolean;

  private readonly player: RemotePlayer;
  private readonly shown = new Map<number, (shown: Shown | undefined) => void>();
  private readonly set;
  private readonly pace = new Pace<{ time: Nanos; serial: number }>((seek) => {
    this.sentSeek = seek.serial;
    this.player.tell({ do: "seek", ...seek });
  });
  /** Seeks are numbered, so that frames say which they know of. */
  private lastSeek = 0;
  private sentSeek = 0;
  private retried = false;
  /** Sources that fail are left out. */
  private isPartial = false;

  constructor(
    readonly loader: Loader,
    recording: Recording,
    private readonly link: PageLink,
  ) {
    const known = new KnownRecording(loader, recording, {
      isWaiting: () => ["seeking", "waiting"].includes(this.status().state),
      looked: () => this.openDefaults(),
    });
    this.known = known;
    this.panels = new OpenPanels(link.panels);
    this.openDefaults();
    const { range } = known;
    const { start, end } = range();
    const moment = clamp(link.at ?? link.start ?? start, start, end);
    const nothing: Status = {
      state: "seeking",
      moment,
      serial: 0,
      from: moment,
      until: moment,
      bytes: 0,
      missing: [],
    };
    const [status, setStatus] = createSignal<Status>(nothing);
    const [isPlaying, setPlaying] = createSignal(false);
    const [selected, setSelected] = createSignal<ReadonlySet<string>>(new Set(link.topics));
    // What lies behind all that is known of it may still come.
    const selectable = recording.end !== null ? end : (link.end ?? end);
    const [stretch, setStretch] = createSignal(stretchOf(link, { start, end: selectable }));
    const [pointed, setPointed] = createSignal<string>();
    const [speed, setSpeed] = createSignal(1);
    const [loops, setLoops] = createSignal(false);
    const [tries, setTries] = createSignal(0);
    this.status = status;
    this.isPlaying = isPlaying;
    this.selected = selected;
    this.stretch = stretch;
    this.pointed = pointed;
    this.speed = speed;
    this.loops = loops;
    this.tries = tries;
    this.selectsNothing = (link.start ?? link.end) !== undefined && stretch() === undefined;
    this.set = {
      setStatus,
      setPlaying,
      setSelected,
      setStretch,
      setPointed,
      setSpeed,
      setLoops,
      setTries,
    };

    this.player = new RemotePlayer({
      frame: (status, shown, gone) =>
        batch(() => {
          const { state } = status;
          if (status.until !== this.status().until) {
            // What is read ahead may have to be loaded.
            known.listen();
            // What had failed may not any more.
            if (this.retried && (state === "idle" || state === "playing")) {
              this.retried = false;
              void known.look();
            }
          }
          if (state !== "seeking" && status.serial >= this.sentSeek) this.pace.answered();
          // A source may have failed: its bar shall say so.
          const { state: before, missing } = this.status();
          if ((state === "failed" && before !== "failed") || status.missing.length > missing.length) void known.look();
          if (status.serial < this.lastSeek) {
            // Made before the last seek: what it shows is as good as what was shown, its moment is not.
            setStatus((now) => ({ ...status, moment: now.moment, state: now.state }));
          } else {
            setStatus(status);
            setPlaying((was) => state === "playing" || state === "waiting" || (was && state === "seeking"));
          }
          for (const one of shown) {
            const show = this.shown.get(one.id);
            if (show !== undefined) show(one);
            // Its panel is gone.
            else if (one.as === "picture") one.picture.close();
          }
          gone.forEach((id) => this.shown.get(id)?.(undefined));
        }),
    });
    const played = () => ({ ...range(), grows: !known.isEndKnown });
    this.player.open(loader.address, played(), moment);
    createEffect(
      on(played, (now) => {
        this.player.tell({ do: "range", ...now });
        this.tellOfLoop();
      }, { defer: true }),
    );
    known.listen();
    this.keepLink();
    onCleanup(() => {
      this.player.close();
      this.pace.close();
    });
  }

  // What is played

  seek(time: Nanos): void {
    this.drag(time);
    this.drop();
  }

  /** Seeks for as long as it goes on: to the next time when something of the last is seen. */
  drag(time: Nanos): void {
    const { start, end } = this.known.range();
    const moment = clamp(time, start, end);
    // At once, so that what is dragged follows the hand.
    this.set.setStatus((status) => ({ ...status, moment }));
    this.pace.ask({ time: moment, serial: ++this.lastSeek });
    this.known.listen();
  }

  /** Dragged no more: what was asked for last is read now. */
  drop(): void {
    this.pace.now();
  }

  toggle(): void {
    this.drop();
    const isPlaying = !this.isPlaying();
    this.set.setPlaying(isPlaying);
    this.player.tell({ do: isPlaying ? "play" : "pause" });
    if (isPlaying) this.known.listen();
  }

  step(direction: 1 | -1): void {
    this.drop();
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

  /** Reads again; with sources that fail, or without from now on, if that is said. */
  retry(partial = this.isPartial): void {
    this.isPartial = partial;
    this.retried = true;
    this.player.retry(this.status().moment, partial);
    this.set.setTries((count) => count + 1);
    this.known.listen();
  }

  // What is selected

  select(stretch: Range | undefined): void {
    this.set.setStretch(stretch);
    this.tellOfLoop();
  }

  /** The selection begins, or ends, at the moment; where that leaves nothing of it, the other end goes. */
  selectHere(edge: "start" | "end"): void {
    const { moment } = this.status();
    const { start, end } = this.known.range();
    const before = this.stretch() ?? { start, end };
    const after =
      edge === "start"
        ? { start: moment, end: before.end > moment ? before.end : end }
        : { start: before.start < moment ? before.start : start, end: moment };
    if (after.start < after.end) this.select(after);
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

  // What is seen

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
    const { chosen, now } = this.panels;
    const stretch = this.stretch();
    return {
      ...this.link,
      at: this.status().moment,
      start: stretch?.start,
      end: stretch?.end,
      topics: [...this.selected()],
      // That nothing is open is no wish where nobody chose it.
      panels: chosen ?? (now.length > 0 ? now : undefined),
    };
  }

  /** Topics may have come to be known. */
  private openDefaults(): void {
    this.panels.openDefaults(this.known.recording.topics, this.known.range());
  }

  private tellOfLoop(): void {
    const { start, end } = this.stretch() ?? this.known.range();
    this.player.tell({ do: "loop", loop: this.loops() ? { from: start, to: end } : undefined });
  }

  private keepLink(): void {
    const keep = () => {
      // Chosen by nobody, they are chosen anew: more may be known by then.
      const search = formatLink({ ...this.here(), panels: this.panels.chosen });
      if (search !== location.search) history.replaceState(null, "", search);
    };
    const timer = setInterval(keep, LINK_MS);
    addEventListener("pagehide", keep);
    onCleanup(() => {
      clearInterval(timer);
      removeEventListener("pagehide", keep);
    });
  }

  /** What is shown of a time of day. */
  clock(time: Nanos): string {
    return clockIn(time, this.known.range());
  }
}
