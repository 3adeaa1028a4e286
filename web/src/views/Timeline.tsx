// The recording by time: each source as a bar, where topics have data, what is in hand, the selection and
// the moment. Click or drag to seek, drag with shift to select.

import { createEffect, createMemo, createSignal, For, on, onCleanup, onMount, Show } from "solid-js";

import type { Source } from "../api/loader";
import { clamp, type Nanos, parseNanos, secondsBetween } from "../lib/nanos";
import { laneAt, Lanes } from "./Lanes";
import type { Viewer } from "./viewer";
import { duration } from "./words";

const LANE_PX = 8;
const MOST_LANES = 8;
const STATES = ["cached", "indexed", "loading", "pending", "failed"] as const;
const NAMES = { cached: "kept", indexed: "indexed", loading: "loading", pending: "not loaded", failed: "failed" };

interface Bar {
  source: Source;
  lane: number;
  from: Nanos;
  to: Nanos;
}

export function Timeline(props: { viewer: Viewer }) {
  const viewer = props.viewer;
  const { status, stretch } = viewer;
  const { recording, range } = viewer.known;
  let track!: HTMLDivElement;
  let canvas!: HTMLCanvasElement;
  const [hovered, setHovered] = createSignal<{ x: number; time: Nanos; what: string | undefined }>();
  const part = (time: Nanos) => {
    const all = Number(range().end - range().start) || 1;
    return Math.min(Math.max(Number(time - range().start) / all, 0), 1);
  };
  const percent = (time: Nanos) => `${(part(time) * 100).toFixed(4)}%`;
  const layout = createMemo(() => lanes(recording.sources, range()));
  const height = () => Math.max(1, layout().lanes) * LANE_PX;
  const counts = createMemo(() =>
    STATES.map((state) => ({
      state,
      count: recording.sources.filter((source) => source.state === state).length,
    })).filter(({ count }) => count > 0),
  );

  const draw = () => {
    const { clientWidth: width } = canvas;
    const ratio = devicePixelRatio;
    canvas.width = width * ratio;
    canvas.height = height() * ratio;
    const context = canvas.getContext("2d");
    if (context === null) return;
    context.scale(ratio, ratio);
    const style = getComputedStyle(canvas);
    const colour = (name: string) => style.getPropertyValue(`--${name}`);
    for (const { source, lane, from, to } of layout().bars) {
      const x = part(from) * width;
      const end = Math.max(part(to) * width, x + 2);
      const rect = (from: number, to: number) =>
        context.fillRect(from, lane * LANE_PX + 1, Math.max(to - from - 0.5, 1), LANE_PX - 2);
      context.fillStyle = colour(source.state === "loading" ? "pending" : source.state);
      rect(x, end);
      const until = source.state === "loading" && parseNanos(source.loadedUntil ?? "");
      if (until) {
        context.fillStyle = colour("loading");
        rect(x, Math.max(x, part(until) * width));
      }
    }
  };
  const looks = createMemo(() => recording.sources.map(({ state, loadedUntil }) => [state, loadedUntil]));
  createEffect(on([layout, looks], () => requestAnimationFrame(draw)));
  onMount(() => {
    const observer = new ResizeObserver(draw);
    observer.observe(canvas);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", draw);
    onCleanup(() => {
      observer.disconnect();
      dark.removeEventListener("change", draw);
    });
  });

  const timeAt = (x: number) => {
    const { left, width } = track.getBoundingClientRect();
    const share = Math.min(Math.max((x - left) / width, 0), 1);
    return range().start + BigInt(Math.round(share * Number(range().end - range().start)));
  };
  const drag = (event: PointerEvent) => {
    if (event.button !== 0) return;
    track.setPointerCapture(event.pointerId);
    const begin = timeAt(event.clientX);
    const selects = event.shiftKey;
    let next: Nanos | undefined = begin;
    let frame = 0;
    const go = () => {
      frame = 0;
      if (next === undefined) return;
      if (selects) viewer.select(begin === next ? undefined : sorted(begin, next));
      else viewer.drag(next);
      next = undefined;
    };
    const move = (event: PointerEvent) => {
      next = timeAt(event.clientX);
      frame ||= requestAnimationFrame(go);
    };
    const up = () => {
      track.removeEventListener("pointermove", move);
      cancelAnimationFrame(frame);
      go();
      viewer.drop();
    };
    track.addEventListener("pointermove", move);
    track.addEventListener("lostpointercapture", up, { once: true });
    go();
  };
  const hover = (event: PointerEvent) => {
    const time = timeAt(event.clientX);
    const { left } = track.getBoundingClientRect();
    const lane = Math.floor((event.clientY - canvas.getBoundingClientRect().top) / LANE_PX);
    const bar = layout().bars.find((bar) => bar.lane === lane && bar.from <= time && time <= bar.to);
    setHovered({ x: event.clientX - left, time, what: bar ? saying(bar.source) : laneAt(viewer, event) });
  };

  return (
    <div class="timeline">
      <div
        class="track"
        ref={track}
        role="slider"
        tabindex="0"
        aria-label="Moment"
        aria-valuemin="0"
        aria-valuemax={secondsBetween(range().start, range().end)}
        aria-valuenow={secondsBetween(range().start, status().moment)}
        aria-valuetext={viewer.clock(status().moment)}
        onPointerDown={drag}
        onPointerMove={hover}
        onPointerLeave={() => setHovered(undefined)}
      >
        <Ruler seconds={secondsBetween(range().start, range().end)} />
        <canvas ref={canvas} aria-hidden="true" style={{ height: `${height()}px` }} />
        <Lanes viewer={viewer} />
        <div
          class="in-hand"
          style={{ left: percent(status().from), width: width(part(status().from), part(status().until)) }}
        />
        <Show when={stretch()}>
          {(stretch) => (
            <div
              class="selected"
              style={{ left: percent(stretch().start), width: width(part(stretch().start), part(stretch().end)) }}
            />
          )}
        </Show>
        <div class="moment" style={{ left: percent(status().moment) }} />
        <Show when={hovered()}>
          {(hovered) => (
            <div class="tip" classList={{ left: part(hovered().time) > 0.6 }} style={{ left: `${hovered().x}px` }}>
              <span class="mono">{viewer.clock(hovered().time)}</span>
              <Show when={hovered().what}>{(what) => <> {what()}</>}</Show>
            </div>
          )}
        </Show>
      </div>
      <div class="legend">
        <For each={counts()}>
          {({ state, count }) => (
            <span>
              <i class={`dot ${state}`} /> {count} {NAMES[state]}
            </span>
          )}
        </For>
        <span class="faint wide">shift and drag selects · [ and ] too</span>
      </div>
    </div>
  );
}

function Ruler(props: { seconds: number }) {
  const ticks = createMemo(() => {
    const steps = [0.001, 0.01, 0.1, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400];
    const step = steps.find((step) => props.seconds / step <= 10) ?? props.seconds / 8;
    const count = step > 0 ? Math.floor(props.seconds / step) : 0;
    return Array.from({ length: count + 1 }, (_, i) => i * step).filter((at) => at < props.seconds * 0.97);
  });
  const text = (at: number) => (at % 1 === 0 ? duration(at).slice(0, -4) : duration(at));
  return (
    <div class="ruler" aria-hidden="true">
      <For each={ticks()}>
        {(at) => <span style={{ left: `${((at / props.seconds) * 100).toFixed(4)}%` }}>{text(at)}</span>}
      </For>
    </div>
  );
}

function saying({ id, state, error }: Source): string {
  return [id, NAMES[state], ...(error === null ? [] : [error])].join(" · ");
}

function width(from: number, to: number): string {
  return `${(Math.max(to - from, 0) * 100).toFixed(4)}%`;
}

function sorted(a: Nanos, b: Nanos): { start: Nanos; end: Nanos } {
  return a < b ? { start: a, end: b } : { start: b, end: a };
}

/** Sources beside each other where there is room, and below each other where they overlap. */
function lanes(sources: readonly Source[], range: { start: Nanos; end: Nanos }): { bars: Bar[]; lanes: number } {
  const ends: Nanos[] = [];
  const bars = sources
    .map((source) => {
      const from = clamp(parseNanos(source.start ?? "") ?? range.start, range.start, range.end);
      const to = clamp(parseNanos(source.end ?? "") ?? range.end, range.start, range.end);
      return { source, from, to };
    })
    .sort((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : a.to > b.to ? -1 : 1))
    .map((bar) => {
      const free = ends.findIndex((end) => end <= bar.from);
      const lane = free >= 0 ? free : ends.length < MOST_LANES ? ends.length : MOST_LANES - 1;
      ends[lane] = bar.to;
      return { ...bar, lane };
    });
  return { bars, lanes: ends.length };
}
