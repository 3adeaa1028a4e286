// A message as a tree. Only values that changed are written anew.

import { createEffect, createMemo, createSignal, For, Show } from "solid-js";
import { createStore, reconcile } from "solid-js/store";

import { copies } from "../lib/clipboard";
import { joinField } from "../lib/link";
import { secondsBetween } from "../lib/nanos";
import { formatPath, type Step } from "../player/path";
import type { Shown } from "../player/protocol";
import type { Tree } from "../player/tree";
import { Hex } from "./Hex";
import { countNodes, isPlottable, leaf, lengthOf, moreOf, partOf, stepsOf } from "./parts";
import type { Viewer } from "./viewer";
import { size } from "./words";

export function RawPanel(props: { viewer: Viewer; topic: string }) {
  const { viewer } = props;
  const shown = viewer.newest(props.topic, "tree");
  const [store, setStore] = createStore<{ tree: Tree }>({ tree: null });
  createEffect(() => {
    const now = shown();
    // The whole store: a tree alone that turns into a list would be merged with what it was.
    if (now?.as === "tree") setStore(reconcile({ tree: now.tree }, { key: null, merge: true }));
  });
  const opens = createMemo(() => {
    const now = shown();
    return now?.as === "tree" && countNodes(now.tree, OPEN_NODES) < OPEN_NODES ? OPEN_DEPTH : 0;
  });
  return (
    <div class="content">
      <Show when={shown()} fallback={<Nothing viewer={viewer} />}>
        {(shown) => (
          <>
            <Age viewer={viewer} shown={shown()} />
            <Show
              when={shown().as === "tree"}
              fallback={<Hex shown={shown() as Shown & { as: "hex" }} />}
            >
              <Show when={stepsOf(store.tree).length > 0} fallback={<p class="mono pad">{leaf(store.tree)}</p>}>
                <Branch tree={store.tree} place={{ viewer, topic: props.topic, steps: [], opens: opens() }} />
              </Show>
            </Show>
          </>
        )}
      </Show>
    </div>
  );
}

export function Nothing(props: { viewer: Viewer }) {
  const said = () => {
    const { state } = props.viewer.status();
    return state === "seeking" ? "…" : state === "failed" ? "Not read." : "No message up to this moment.";
  };
  return (
    <p class="faint pad" role="status">
      {said()}
    </p>
  );
}

/** When a message is from: what is latched may be old. */
function Age(props: { viewer: Viewer; shown: Shown }) {
  const age = () => secondsBetween(props.shown.time, props.viewer.status().moment);
  return (
    <p class="age faint">
      <span class="mono">{props.viewer.clock(props.shown.time)}</span> · {size(props.shown.bytes)}
      <Show when={age() >= 2}> · {age().toFixed(0)} s old</Show>
    </p>
  );
}

// Deeper ones are folded at first, so are those with more parts; of a tree with more nodes all are.
const OPEN_DEPTH = 3;
const OPEN_PARTS = 20;
const OPEN_NODES = 500;

interface Place {
  viewer: Viewer;
  topic: string;
  steps: readonly Step[];
  /** So many levels are open at first. */
  opens: number;
}

function Branch(props: { tree: Tree; place: Place }) {
  const steps = createMemo(() => stepsOf(props.tree));
  return (
    <ul class="tree">
      <For each={steps()}>
        {(step, i) => (
          <Node name={String(step)} value={partOf(props.tree, i())} place={within(props.place, step)} />
        )}
      </For>
      <Show when={moreOf(props.tree) > 0}>
        <li class="faint">… {moreOf(props.tree)} more</li>
      </Show>
    </ul>
  );
}

function within(place: Place, step: Step): Place {
  return { ...place, steps: [...place.steps, step], opens: place.opens - 1 };
}

function Node(props: { name: string; value: Tree; place: Place }) {
  const { viewer, topic, opens } = props.place;
  const isBranch = createMemo(() => stepsOf(props.value).length > 0);
  const [isOpen, setOpen] = createSignal(opens > 0 && stepsOf(props.value).length <= OPEN_PARTS);
  const field = () => joinField(topic, formatPath(props.place.steps), viewer.known.topicNames());
  const [said, setSaid] = createSignal("copy path");
  const copy = async () => setSaid((await copies(field())) ? "copied" : "the browser does not copy");
  return (
    <li>
      <div class="node">
        <Show
          when={isBranch()}
          fallback={
            <>
              <span class="key">{props.name}</span>
              <span class={`value mono ${typeof props.value}`}>{leaf(props.value)}</span>
            </>
          }
        >
          <button class="fold key" aria-expanded={isOpen()} onClick={() => setOpen(!isOpen())}>
            {props.name}
          </button>
          <span class="faint">{lengthOf(props.value)}</span>
        </Show>
        <span class="tools">
          <Show when={isPlottable(props.value)}>
            <button class="quiet small" title={`Plot ${field()}`} onClick={() => viewer.panels.plot(field())}>
              plot
            </button>
          </Show>
          <button class="quiet small" title={`Copy ${field()}`} onClick={() => void copy()}>
            {said()}
          </button>
        </span>
      </div>
      <Show when={isOpen() && isBranch()}>
        <Branch tree={props.value} place={props.place} />
      </Show>
    </li>
  );
}
