// Log messages of the whole range around the moment. Click one to go there.

import { createEffect, createMemo, createSignal, For, onCleanup, Show } from "solid-js";

import type { Level, LogLine } from "../player/logs";
import type { Failure } from "../player/protocol";
import type { Viewer } from "./viewer";
import { clock } from "./words";

// Around the moment: more than fit on a screen.
const AROUND = 100;
const LEVELS: Level[] = ["debug", "info", "warning", "error", "fatal"];

export function LogPanel(props: { viewer: Viewer; topics: string[] }) {
  const { viewer } = props;
  const [lines, setLines] = createSignal<LogLine[]>([]);
  const [failure, setFailure] = createSignal<Failure>();
  const [isDone, setDone] = createSignal(false);
  const [filter, setFilter] = createSignal("");
  const [least, setLeast] = createSignal<Level>("debug");
  createEffect(() => {
    viewer.tries();
    const { start, end } = viewer.range();
    const asked = { kind: "logs" as const, topics: props.topics, from: start, to: end };
    onCleanup(
      viewer.begin(asked, (report) => {
        setLines(report.lines as LogLine[]);
        setFailure(report.failure);
        setDone(report.done);
      }),
    );
  });
  const found = createMemo(() => {
    const text = filter().toLowerCase();
    const from = LEVELS.indexOf(least());
    return lines().filter(
      ({ level, name, text: words }) =>
        (level === "" || LEVELS.indexOf(level) >= from) && `${name} ${words}`.toLowerCase().includes(text),
    );
  });
  /** The last line that is not of later. */
  const current = createMemo(() => {
    const { moment } = viewer.status();
    const list = found();
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((list[middle] as LogLine).time <= moment) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  });
  const around = createMemo(() => found().slice(Math.max(0, current() - AROUND), current() + AROUND));
  let list!: HTMLOListElement;
  createEffect(() => {
    current();
    const row = list.querySelector<HTMLElement>("[aria-current]");
    if (row !== null) list.scrollTop = row.offsetTop - list.clientHeight / 2;
  });
  return (
    <div class="content logs">
      <div class="bar">
        <input
          type="search"
          placeholder="Filter"
          aria-label="Filter log messages"
          onInput={({ currentTarget }) => setFilter(currentTarget.value)}
        />
        <select
          aria-label="Least level"
          onChange={({ currentTarget }) => setLeast(currentTarget.value as Level)}
        >
          <For each={LEVELS}>{(level) => <option value={level}>{level}</option>}</For>
        </select>
      </div>
      <ol ref={list}>
        <For each={around()}>
          {(line) => (
            <li
              classList={{ [line.level || "info"]: true, later: line.time > viewer.status().moment }}
              aria-current={line === found()[current()] ? "time" : undefined}
            >
              <button class="line" onClick={() => viewer.seek(line.time)}>
                <span class="mono faint">{clock(line.time)}</span>
                <span class="level">{line.level}</span>
                <span class="faint">{line.name}</span>
                <span class="text">{line.text}</span>
              </button>
            </li>
          )}
        </For>
      </ol>
      <Show when={failure()}>{(failure) => <p class="bad pad">{failure().words}</p>}</Show>
      <Show when={!isDone() && lines().length === 0}>
        <p class="faint pad">Reading…</p>
      </Show>
    </div>
  );
}
