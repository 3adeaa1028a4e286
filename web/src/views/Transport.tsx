// Play, step, speed, loop, and the clock.

import { For, Show } from "solid-js";

import { secondsBetween } from "../lib/nanos";
import type { Status } from "../player/protocol";
import { SPEEDS, type Viewer } from "./viewer";
import { duration } from "./words";

export function Transport(props: { viewer: Viewer }) {
  const viewer = props.viewer;
  const { status } = viewer;
  const { range } = viewer.known;
  return (
    <div class="transport" role="group" aria-label="Playing">
      <button class="quiet" title="To the message before ( , )" aria-label="Step back" onClick={() => viewer.step(-1)}>
        <Icon d="M11 3 5 8l6 5zM3 3h1.6v10H3z" />
      </button>
      <button
        class="primary round"
        title="Play or pause (space)"
        aria-label={viewer.isPlaying() ? "Pause" : "Play"}
        onClick={() => viewer.toggle()}
      >
        <Icon d={viewer.isPlaying() ? "M4 3h3v10H4zM9 3h3v10H9z" : "M5 3l8 5-8 5z"} />
      </button>
      <button class="quiet" title="To the next message ( . )" aria-label="Step forward" onClick={() => viewer.step(1)}>
        <Icon d="M5 3l6 5-6 5zM11.4 3H13v10h-1.6z" />
      </button>
      <time class="mono clock">{viewer.clock(status().moment)}</time>
      <span class="mono faint offset">
        {duration(secondsBetween(range().start, status().moment))}
      </span>
      <span class="state faint" role="status">
        {waiting(status())}
      </span>
      <span class="stretch" />
      <span class="edges">
        <button class="small" title="The selection begins here" onClick={() => viewer.selectHere("start")}>
          [ from here
        </button>
        <button class="small" title="The selection ends here" onClick={() => viewer.selectHere("end")}>
          to here ]
        </button>
      </span>
      <Show when={viewer.stretch()}>
        {(stretch) => (
          <span class="selection">
            Selected <span class="mono">{duration(secondsBetween(stretch().start, stretch().end))}</span>
            <button class="quiet small" aria-label="Select no time" onClick={() => viewer.select(undefined)}>
              ✕
            </button>
          </span>
        )}
      </Show>
      <label class="small">
        <input
          type="checkbox"
          checked={viewer.loops()}
          onChange={({ currentTarget }) => viewer.setLoops(currentTarget.checked)}
        />{" "}
        Loop
      </label>
      <select
        aria-label="Speed"
        title="Speed"
        value={viewer.speed()}
        onChange={({ currentTarget }) => viewer.setSpeed(Number(currentTarget.value))}
      >
        <For each={SPEEDS}>{(speed) => <option value={speed}>{speed}×</option>}</For>
      </select>
    </div>
  );
}

function waiting({ state, failure }: Status): string {
  const why = failure === undefined ? "" : ` ${failure.words}`;
  switch (state) {
    case "seeking":
      return `Seeking…${why}`;
    case "waiting":
      return `Waiting for data…${why}`;
    default:
      return "";
  }
}

function Icon(props: { d: string }) {
  return (
    <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path fill="currentColor" d={props.d} />
    </svg>
  );
}
