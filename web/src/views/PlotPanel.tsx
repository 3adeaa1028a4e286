// Fields over the whole range, or what is zoomed to. Click to seek, drag to zoom, double-click for all.

import {
  createEffect,
  createMemo,
  createSignal,
  createUniqueId,
  For,
  onCleanup,
  onMount,
  Show,
  untrack,
} from "solid-js";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { splitField } from "../lib/link";
import { later, secondsBetween } from "../lib/nanos";
import { firstWhere } from "../lib/search";
import { parsePath } from "../player/path";
import type { Failure } from "../player/protocol";
import type { Line } from "../player/series";
import { legible } from "./parts";
import { PanelTrouble } from "./Trouble";
import type { Viewer } from "./viewer";
import { duration } from "./words";

const COLOURS = ["#3b82f6", "#f97316", "#10b981", "#a855f7", "#ef4444", "#eab308", "#14b8a6", "#ec4899"];

export function PlotPanel(props: { viewer: Viewer; fields: string[]; change: (fields: string[]) => void }) {
  const { viewer } = props;
  const { status } = viewer;
  const { overall: range, topicNames: topics } = viewer.known;
  const [lines, setLines] = createSignal<ReadonlyMap<string, Line>>(new Map());
  const [failures, setFailures] = createSignal<Failure[]>([]);
  const [reading, setReading] = createSignal(0);
  const [zoom, setZoom] = createSignal<{ from: number; to: number }>();
  const [tries, setTries] = createSignal(0);
  const bounds = () => zoom() ?? { from: 0, to: secondsBetween(range().start, range().end) };
  const unknown = createMemo(() => props.fields.filter((field) => !isField(field, topics())));

  // What was asked for these times; a field more asks for that one alone.
  let asked = { times: "", fields: new Set<string>() };
  const stops: (() => void)[] = [];
  const stop = () => stops.splice(0).forEach((stop) => stop());
  createEffect(() => {
    const { start } = range();
    const [from, to] = [later(start, bounds().from), later(start, bounds().to)];
    const times = [from, to, viewer.tries(), tries()].join();
    if (times !== asked.times) {
      stop();
      asked = { times, fields: new Set() };
      setReading(0);
      setFailures([]);
    }
    const more = props.fields
      .filter((field) => !asked.fields.has(field))
      .flatMap((field) => {
        const split = splitField(field, topics());
        return split === undefined || unknown().includes(field) ? [] : [{ field, ...split }];
      });
    if (more.length === 0) return;
    more.forEach(({ field }) => asked.fields.add(field));
    setReading((count) => count + 1);
    const fields = more.map(({ topic, path }) => ({ topic, path }));
    stops.push(
      viewer.begin({ kind: "series", fields, from, to, origin: start }, (report) => {
        setLines((before) => {
          const after = new Map(before);
          more.forEach(({ field }, i) => after.set(field, report.lines[i] as Line));
          return after;
        });
        if (report.done) setReading((count) => count - 1);
        const { failure } = report;
        if (failure) setFailures((before) => [...before, failure]);
      }),
    );
  });
  onCleanup(stop);

  const isRead = () => reading() === 0 && failures().length === 0;
  const without = () => shown().filter(({ line }) => isRead() && line !== undefined && line.times.length + line.notFinite === 0);
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
          {
            ...axis,
            values: (_, ticks) => ticks.map(legible),
            size: (_, labels) => Math.max(52, ...(labels ?? []).map(({ length }) => 12 + 7 * length)),
          },
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
      <For each={failures()}>
        {(failure) => (
          <PanelTrouble viewer={viewer} failure={failure} again={() => setTries((count) => count + 1)} />
        )}
      </For>
      <For each={shown().filter(({ line }) => line !== undefined && line.notFinite > 0)}>
        {({ field, line }) => (
          <p class="faint pad">
            {field}: {line?.notFinite === 1 ? "a value is no number" : `${line?.notFinite} values are no numbers`}.
          </p>
        )}
      </For>
      <For each={unknown()}>{(field) => <p class="faint pad">{field} is no field of this recording's topics.</p>}</For>
      <For each={without()}>{({ field }) => <p class="faint pad">{field} has no numbers here.</p>}</For>
      <AddField
        topics={topics()}
        add={(field) => !props.fields.includes(field) && props.change([...props.fields, field])}
      />
    </div>
  );
}

/** A line more, typed: its topic, and where in its messages. */
function AddField(props: { topics: string[]; add: (field: string) => void }) {
  const [field, setField] = createSignal("");
  const [refusal, setRefusal] = createSignal("");
  const list = createUniqueId();
  const add = (event: Event) => {
    event.preventDefault();
    const text = field().trim();
    if (!isField(text, props.topics)) {
      setRefusal("A topic and a field of it, such as /odom.pose.position.x");
      return;
    }
    props.add(text);
    setField("");
  };
  return (
    <form class="bar" onSubmit={add}>
      <input
        type="search"
        class="stretch"
        list={list}
        required
        aria-label="Add a field to the plot"
        placeholder="/topic.field to add"
        autocomplete="off"
        value={field()}
        onInput={({ currentTarget }) => {
          setField(currentTarget.value);
          setRefusal("");
        }}
      />
      <datalist id={list}>
        <For each={props.topics}>{(topic) => <option value={`${topic}.`} />}</For>
      </datalist>
      <button class="small">Add</button>
      <Show when={refusal()}>
        <span class="bad small" role="alert">
          {refusal()}
        </span>
      </Show>
    </form>
  );
}

function isField(text: string, topics: readonly string[]): boolean {
  const split = splitField(text, topics);
  return split !== undefined && parsePath(split.path) !== undefined;
}

/** The last value up to the time. */
function valueAt(line: Line | undefined, seconds: number): string {
  if (line === undefined) return "";
  const value = line.values[firstWhere(line.times, (time) => time > seconds) - 1];
  return value === undefined ? "" : legible(value);
}
