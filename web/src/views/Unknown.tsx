// A recording of which no source says when it begins: it has to be loaded before there is anything to show.

import { createSignal, For, onCleanup, Show } from "solid-js";

import type { Loader, Recording } from "../api/loader";
import { follow } from "./follow";
import { untilKnown } from "./until_known";
import { whyNothing } from "./words";

export function Unknown(props: { loader: Loader; again: () => void }) {
  const [empty, setEmpty] = createSignal<Recording>();
  const gone = new AbortController();
  const loaded = new AbortController();
  const stop = follow(props.loader, true, { event: () => undefined, over: () => loaded.abort() });
  void untilKnown(props.loader, loaded.signal, gone.signal).then(
    (recording) => (recording.start === null ? setEmpty(recording) : props.again()),
    // Opening says what is wrong, and what to do.
    () => gone.signal.aborted || props.again(),
  );
  onCleanup(() => {
    stop();
    gone.abort();
    loaded.abort();
  });
  return (
    <Show
      when={empty()}
      fallback={
        <p class="notice" role="status">
          No source says when it begins: they are being loaded to find out…
        </p>
      }
    >
      {(recording) => (
        <main class="notice" role="alert">
          <h1>{recording().name ?? "Recording"}: there is nothing to show</h1>
          <For each={whyNothing(recording())}>{(why) => <p>{why}</p>}</For>
          <button onClick={() => props.again()}>Try again</button>
        </main>
      )}
    </Show>
  );
}
