// Fields over the whole range, or what is zoomed to. Click to seek, drag to zoom, double-click for all.

import { createEffect, createMemo, createSignal, For, onCleanup, onMount, Show, untrack } from "solid-js";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { splitField } from "../lib/link";
import { later, secondsBetween } from "../lib/nanos";
import type { Failure } from "../player/protocol";
import type { Line } from "../player/series";
import type { Viewer } from "./viewer";
import { duration } from "./words";

const COLOURS = ["#3b82f6", "#f97316", "#10b981", "#a855f7", "#ef4444", "#eab308", "#14b8a6", "#ec4899"];

export function PlotPanel(props: { viewer: Viewer; fields: string[]; change: (fields: string[]) => void }) {
  const { viewer } = props;
  const { range, status } = viewer;
  const [lines, setLines] = createSignal<ReadonlyMap<string, Line>>(new Map());
  const [failures, setFailures] = createSignal<ReadonlyMap<string, Failure>>(new Map());
  const [reading, setReading] = createSignal(0);
  const [zoom, setZoom] = createSignal<{ from: number; to: number }>();
  const topics = createMemo(() => viewer.recording.topics.map(({ name }) => name), undefined, {
    equals: (a, b) => a.join() === b.join(),
  });
  const asked = createMemo(() => {
    const byTopic = new Map<string, { field: string; path: string }[]>();
    for (const field of props.fields) {
      const split = splitField(field, topics());
      if (split === undefined) continue;
      byTopic.set(split.topic, [...(byTopic.get(split.topic) ?? []), { field, path: split.path }]);
    }
    return byTopic;
  });

  createEffect(() => {
    viewer.tries();
    const { start, end } = range();
    const { from, to } = zoom() ?? { from: 0, to: secondsBetween(start, end) };
    const stops: (() => void)[] = [];
    setReading(asked().size);
    setFailures(new Map());
    for (const [topic, fields] of asked()) {
      const paths = fields.map(({ path }) => path);
      const errand = { kind: "series" as const, topic, paths, from: later(start, from), to: later(start, to), origin: start };
      stops.push(
        viewer.begin(errand, (report) => {
          setLines((before) => {
            const after = new Map(before);
            fields.forEach(({ field }, i) => after.set(field, report.lines[i] as Line));
            return after;
          });
          if (report.done) setReading((count) => count - 1);
          const { failure } = report;
          if (failure) setFailures((before) => new Map(before).set(topic, failure));
        }),
      );
    }
    onCleanup(() => stops.forEach((stop) => stop()));
  });

  const shown = createMemo(() => props.fields.map((field) => ({ field, line: lines().get(field) })));
  let place!: HTMLDivElement;
  let plot: uPlot | undefined;
  const [moved, setMoved] = createSignal(0);

  onMount(() => {
    const make = () => {
      plot?.destroy();
      plot = new uPlot(options(), data(), place);
    };
    const options = (): uPlot.Options => {
      const style = getComputedStyle(place);
      const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
      const font = `11px ${style.fontFamily}`;
      const axis = { stroke: colour("faint"), font, grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
      return {
        width: place.clientWidth,
        height: place.clientHeight,
        legend: { show: false },
        cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
        scales: { x: { time: false, range: () => [bounds().from, bounds().to] } },
        axes: [
          { ...axis, size: 24, values: (_, ticks) => ticks.map((tick) => duration(tick).replace(/\.?0+$/, "")) },
          { ...axis, size: 52 },
        ],
        series: [
          {},
          ...props.fields.map((field, i) => ({
            label: field,
            stroke: COLOURS[i % COLOURS.length] as string,
            width: 1.25,
            points: { show: false },
            spanGaps: true,
          })),
        ],
        hooks: {
          setSelect: [
            (self) => {
              const { left, width } = self.select;
              if (width < 4) return;
              setZoom({ from: self.posToVal(left, "x"), to: self.posToVal(left + width, "x") });
              self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            },
          ],
          ready: [(self) => listen(self)],
          // Scales are known by now, and not before.
          draw: [() => setMoved((count) => count + 1)],
        },
      };
    };
    const listen = ({ over }: uPlot) => {
      let pressed = 0;
      over.addEventListener("mousedown", ({ clientX }) => (pressed = clientX));
      over.addEventListener("click", ({ clientX }) => {
        if (Math.abs(clientX - pressed) > 3 || plot === undefined) return;
        const seconds = plot.posToVal(clientX - over.getBoundingClientRect().left, "x");
        viewer.seek(later(range().start, seconds));
      });
      over.addEventListener("dblclick", () => setZoom(undefined));
    };
    createEffect(() => {
      // Which lines there are; colours are taken anew.
      props.fields.join();
      untrack(make);
    });
    createEffect(() => {
      const now = data();
      bounds();
      plot?.setData(now, true);
    });
    const observer = new ResizeObserver(() => {
      plot?.setSize({ width: place.clientWidth, height: place.clientHeight });
    });
    observer.observe(place);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", make);
    onCleanup(() => {
      observer.disconnect();
      dark.removeEventListener("change", make);
      plot?.destroy();
    });
  });

  const bounds = () => zoom() ?? { from: 0, to: secondsBetween(range().start, range().end) };
  const data = createMemo((): uPlot.AlignedData => {
    const tables = shown().map(
      ({ line }) => [line?.times ?? [], line?.values ?? []] as unknown as uPlot.AlignedData,
    );
    return tables.length === 0 ? [[]] : tables.length === 1 ? (tables[0] as uPlot.AlignedData) : uPlot.join(tables);
  });
  const seconds = () => secondsBetween(range().start, status().moment);
  const left = () => {
    moved();
    if (plot === undefined) return "0";
    const x = plot.valToPos(seconds(), "x");
    const { clientWidth } = plot.over;
    const isInside = x >= 0 && x <= clientWidth;
    return isInside ? `${plot.over.offsetLeft + x}px` : "-10px";
  };
  return (
    <div class="content plot">
      <ul class="lines">
        <For each={props.fields}>
          {(field, i) => (
            <li>
              <i class={`dot line-${i() % COLOURS.length}`} />
              <span class="name">{field}</span>
              <span class="mono">{valueAt(lines().get(field), seconds())}</span>
              <button
                class="quiet small"
                aria-label={`Take ${field} out of the plot`}
                onClick={() => props.change(props.fields.filter((other) => other !== field))}
              >
                ✕
              </button>
            </li>
          )}
        </For>
        <Show when={zoom()}>
          <li>
            <button class="small" onClick={() => setZoom(undefined)}>
              All of the time
            </button>
          </li>
        </Show>
        <Show when={reading() > 0}>
          <li class="faint">reading…</li>
        </Show>
      </ul>
      <div class="chart" ref={place}>
        <div class="moment" style={{ left: left() }} />
      </div>
      <For each={[...failures()]}>
        {([topic, failure]) => (
          <p class="bad pad">
            {topic}: {failure.words}
          </p>
        )}
      </For>
      <For each={shown().filter(({ line }) => reading() === 0 && line !== undefined && line.times.length === 0)}>
        {({ field }) => <p class="faint pad">{field} has no numbers here.</p>}
      </For>
    </div>
  );
}

/** The last value up to the time. */
function valueAt(line: Line | undefined, seconds: number): string {
  if (line === undefined) return "";
  let low = 0;
  let high = line.times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((line.times[middle] as number) <= seconds) low = middle + 1;
    else high = middle;
  }
  const value = line.values[low - 1];
  return value === undefined ? "" : String(Number(value.toPrecision(6)));
}
