// A recording of which no source says when it begins: it has to be loaded before there is anything to show.

import { createSignal, For, onCleanup, Show } from "solid-js";

import type { Loader, Recording } from "../api/loader";
import { follow } from "./follow";
import { whyNothing } from "./words";

// Whether it is known by now is asked again so often.
const LOOK_AGAIN_MS = 1000;

export function Unknown(props: { loader: Loader; recording: Recording; again: () => void }) {
  const [recording, setRecording] = createSignal(props.recording);
  const [isOver, setOver] = createSignal(false);
  const gone = new AbortController();
  const look = async () => {
    try {
      setRecording(await props.loader.recording(gone.signal));
    } catch {
      // Opening says what is wrong, and what to do.
      if (!gone.signal.aborted) props.again();
      return;
    }
    if (recording().start !== null) props.again();
  };
  const timer = setInterval(() => !document.hidden && void look(), LOOK_AGAIN_MS);
  const stop = follow(props.loader, true, {
    event: () => undefined,
    over: () => {
      clearInterval(timer);
      void look().then(() => setOver(true));
    },
  });
  onCleanup(() => {
    gone.abort();
    clearInterval(timer);
    stop();
  });
  return (
    <Show
      when={isOver()}
      fallback={
        <p class="notice" role="status">
          No source says when it begins: they are being loaded to find out…
        </p>
      }
    >
      <main class="notice" role="alert">
        <h1>{recording().name ?? "Recording"}: there is nothing to show</h1>
        <For each={whyNothing(recording())}>{(why) => <p>{why}</p>}</For>
        <button onClick={() => props.again()}>Try again</button>
      </main>
    </Show>
  );
}
