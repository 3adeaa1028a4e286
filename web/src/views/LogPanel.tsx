// Log messages around the moment: the last ones of the whole range, or those from a moment on. Click one to
// go there.

import { createEffect, createMemo, createSignal, For, onCleanup, Show } from "solid-js";

import type { Nanos } from "../lib/nanos";
import { firstWhere } from "../lib/search";
import type { Level, LogLine } from "../player/logs";
import type { Failure } from "../player/protocol";
import { unknownOf } from "./choices";
import { PanelTrouble } from "./Trouble";
import type { Viewer } from "./viewer";

// Around the moment: more than fit on a screen.
const AROUND = 100;
const LEVELS: Level[] = ["debug", "info", "warning", "error", "fatal"];

const count = (lines: number) => lines.toLocaleString("en");

export function LogPanel(props: { viewer: Viewer; topics: string[] }) {
  const { viewer } = props;
  const [lines, setLines] = createSignal<LogLine[]>([]);
  const [failure, setFailure] = createSignal<Failure>();
  const [isDone, setDone] = createSignal(false);
  const [left, setLeft] = createSignal(0);
  const [since, setSince] = createSignal<Nanos>();
  const [tries, setTries] = createSignal(0);
  const [filter, setFilter] = createSignal("");
  const [least, setLeast] = createSignal<Level>("debug");
  const unknown = createMemo(() => unknownOf(props.topics, viewer.known.topicNames()));
  const known = createMemo(() => props.topics.filter((topic) => !unknown().includes(topic)), undefined, {
    equals: (a, b) => a.join("\n") === b.join("\n"),
  });
  createEffect(() => {
    viewer.tries();
    tries();
    const { start, end } = viewer.known.overall();
    const topics = known();
    setFailure(undefined);
    setDone(topics.length === 0);
    if (topics.length === 0) return;
    const from = since();
    const asked = { kind: "logs" as const, topics, from: from ?? start, to: end, keepsFirst: from !== undefined };
    onCleanup(
      viewer.begin(asked, (report) => {
        setLines(report.lines as LogLine[]);
        setLeft(report.left);
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
    return firstWhere(found(), ({ time }) => time > moment) - 1;
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
      <Show when={left() > 0 || since() !== undefined}>
        <div class="bar small faint" role="status">
          {since() === undefined
            ? `The first ${count(left())} are not shown.`
            : `${left() > 0 ? `The first ${count(lines().length)} from` : "From"} ${viewer.clock(since() as Nanos)} on.`}
          <span class="stretch" />
          <button class="small" title="Those from the moment on" onClick={() => setSince(viewer.status().moment)}>
            Read from here
          </button>
          <Show when={since() !== undefined}>
            <button class="small" onClick={() => setSince(undefined)}>
              The last ones
            </button>
          </Show>
        </div>
      </Show>
      <ol ref={list}>
        <For each={around()}>
          {(line) => (
            <li
              classList={{ [line.level || "info"]: true, later: line.time > viewer.status().moment }}
              aria-current={line === found()[current()] ? "time" : undefined}
            >
              <button class="line" onClick={() => viewer.seek(line.time)}>
                <span class="mono faint">{viewer.clock(line.time)}</span>
                <span class="level">{line.level}</span>
                <span class="faint">{line.name}</span>
                <span class="text">{line.text}</span>
              </button>
            </li>
          )}
        </For>
      </ol>
      <For each={unknown()}>{(topic) => <p class="faint pad">The recording has no topic {topic}.</p>}</For>
      <Show when={failure()}>
        {(failure) => (
          <PanelTrouble viewer={viewer} failure={failure()} again={() => setTries((before) => before + 1)} />
        )}
      </Show>
      <Show when={found().length === 0 && known().length > 0 && (!isDone() || failure() === undefined)}>
        <p class="faint pad" role="status">
          {!isDone() ? "Reading…" : lines().length > 0 ? "None matches." : "No log messages."}
        </p>
      </Show>
    </div>
  );
}
