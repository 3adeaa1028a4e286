// The title, what the recording spans, what is wrong with it, and where to go from here.

import { createMemo, createSignal, For, Show } from "solid-js";

import { secondsBetween } from "../lib/nanos";
import { HandOn } from "./HandOn";
import type { Viewer } from "./viewer";
import { clock, day, duration } from "./words";

export function Header(props: {
  viewer: Viewer;
  showsTopics: boolean;
  setShowsTopics: (shows: boolean) => void;
}) {
  const { recording, range } = props.viewer.known;
  const [showsProblems, setShowsProblems] = createSignal(false);
  const problems = createMemo(() => [
    ...recording.sources
      .filter(({ id, state, error }) => {
        // Most of them are among the problems already.
        const isTold = recording.problems.some(({ source, message }) => source === id && message === error);
        return state === "failed" && !isTold;
      })
      .map(({ id, error }) => ({ severity: "error", message: error ?? "It failed.", at: id, count: 1 })),
    ...recording.problems.map(({ severity, message, source, topic, count }) => ({
      severity,
      message,
      at: [source, topic].filter(Boolean).join(" "),
      count,
    })),
  ]);
  const isBad = () => problems().some(({ severity }) => severity === "error");
  return (
    <header>
      <button
        class="quiet"
        aria-pressed={props.showsTopics}
        title="Show or hide the topics"
        onClick={() => props.setShowsTopics(!props.showsTopics)}
      >
        ☰<span class="hidden"> Topics</span>
      </button>
      <h1>{recording.name ?? "Recording"}</h1>
      <span class="range">
        {day(range().start)} <span class="mono">{clock(range().start).slice(0, 8)}</span> –{" "}
        <Show when={day(range().start) !== day(range().end)}>{day(range().end)} </Show>
        <span class="mono">{clock(range().end).slice(0, 8)}</span> UTC
        <span class="faint"> · {duration(secondsBetween(range().start, range().end)).slice(0, -4)}</span>
      </span>
      <span class="stretch" />
      <Show when={problems().length > 0}>
        <button
          classList={{ quiet: true, bad: isBad(), warn: !isBad() }}
          aria-expanded={showsProblems()}
          onClick={() => setShowsProblems(!showsProblems())}
        >
          {problems().length === 1 ? "1 problem" : `${problems().length} problems`}
        </button>
      </Show>
      <HandOn viewer={props.viewer} />
      <Show when={showsProblems()}>
        <ul class="problems" aria-label="Problems of this recording">
          <For each={problems()}>
            {({ severity, message, at, count }) => (
              <li>
                <span classList={{ bad: severity === "error", warn: severity !== "error" }}>
                  {severity === "error" ? "Missing" : "Note"}
                </span>{" "}
                {message}
                <Show when={count > 1}> ({count} times)</Show>
                <span class="faint mono"> {at}</span>
              </li>
            )}
          </For>
        </ul>
      </Show>
    </header>
  );
}
