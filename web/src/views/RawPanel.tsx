// A message as a tree. Only values that changed are written anew.

import { createEffect, createMemo, createSignal, For, Match, Show, Switch } from "solid-js";
import { createStore, reconcile } from "solid-js/store";

import { copies } from "../lib/clipboard";
import { joinField } from "../lib/link";
import { secondsBetween } from "../lib/nanos";
import { stepInto } from "../player/path";
import type { Shown } from "../player/protocol";
import { isClipped, type Tree } from "../player/tree";
import { Hex } from "./Hex";
import type { Viewer } from "./viewer";
import { size } from "./words";

export function RawPanel(props: { viewer: Viewer; topic: string }) {
  const { viewer } = props;
  const shown = viewer.newest(props.topic, "tree");
  const [store, setStore] = createStore<{ tree: Tree }>({ tree: null });
  createEffect(() => {
    const now = shown();
    if (now?.as === "tree") setStore("tree", reconcile(now.tree, { key: null, merge: true }));
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
              <Branch
                names={keysOf(store.tree)}
                of={(name) => (store.tree as Record<string, Tree>)[name] as Tree}
                path=""
                topic={props.topic}
                viewer={viewer}
                depth={0}
              />
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

function keysOf(tree: Tree): string[] {
  return typeof tree === "object" && tree !== null ? Object.keys(tree) : [];
}

// Deeper ones are folded at first.
const OPEN_DEPTH = 3;

function Branch(props: {
  names: string[];
  of: (name: string) => Tree;
  isList?: boolean;
  path: string;
  topic: string;
  viewer: Viewer;
  depth: number;
}) {
  const path = (name: string) =>
    stepInto(props.path, props.isList === true ? Number(name) : name);
  return (
    <ul class="tree">
      <For each={props.names}>
        {(name) => (
          <Node name={name} value={props.of(name)} path={path(name)} topic={props.topic} viewer={props.viewer} depth={props.depth} />
        )}
      </For>
    </ul>
  );
}

function Node(props: { name: string; value: Tree; path: string; topic: string; viewer: Viewer; depth: number }) {
  const kind = createMemo(() => {
    const { value } = props;
    if (typeof value !== "object" || value === null || isEmpty(value)) return "leaf";
    return isClipped(value) ? "clipped" : Array.isArray(value) ? "list" : "fields";
  });
  const [isOpen, setOpen] = createSignal(props.depth < OPEN_DEPTH && keysOf(props.value).length <= 20);
  const isNumeric = () => ["number", "bigint", "boolean"].includes(typeof props.value);
  const field = () => joinField(props.topic, props.path, props.viewer.topicNames());
  const [said, setSaid] = createSignal("copy path");
  const copy = async () => setSaid((await copies(field())) ? "copied" : "the browser does not copy");
  // A field may turn from one kind into another, and is asked before it is taken away.
  const item = (name: string) => (props.value as Record<string, Tree> | null)?.[name] ?? null;
  return (
    <li>
      <div class="node">
        <Switch>
          <Match when={kind() === "leaf"}>
            <span class="key">{props.name}</span>
            <span class={`value mono ${typeof props.value}`}>{leaf(props.value)}</span>
          </Match>
          <Match when={kind() === "clipped"}>
            <span class="key">{props.name}</span>
            <span class="value mono faint">{clipped(props.value)}</span>
          </Match>
          <Match when={true}>
            <button class="fold key" aria-expanded={isOpen()} onClick={() => setOpen(!isOpen())}>
              {props.name}
            </button>
            <span class="faint">{kind() === "list" ? `[${keysOf(props.value).length}]` : ""}</span>
          </Match>
        </Switch>
        <span class="tools">
          <Show when={isNumeric()}>
            <button class="quiet small" title={`Plot ${field()}`} onClick={() => props.viewer.plot(field())}>
              plot
            </button>
          </Show>
          <button
            class="quiet small"
            title={`Copy ${field()}`}
            onClick={() => void copy()}
          >
            {said()}
          </button>
        </span>
      </div>
      <Show when={isOpen() && (kind() === "list" || kind() === "fields")}>
        <Branch
          names={keysOf(props.value)}
          of={item}
          isList={kind() === "list"}
          path={props.path}
          topic={props.topic}
          viewer={props.viewer}
          depth={props.depth + 1}
        />
      </Show>
    </li>
  );
}

function isEmpty(value: Tree): boolean {
  return keysOf(value).length === 0;
}

function leaf(value: Tree): string {
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "[]" : "{}";
  if (typeof value === "string") return JSON.stringify(value);
  // Steady while it changes: no more digits than a reader sees.
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(9)));
  return String(value);
}

function clipped(value: Tree): string {
  if (!isClipped(value)) return "";
  const { kind, length, head } = value;
  const first = head.slice(0, kind === "bytes" ? 16 : 8);
  const text = first.map((item) =>
    kind === "bytes" ? Number(item).toString(16).padStart(2, "0") : typeof item === "object" ? "…" : leaf(item),
  );
  return `${kind === "bytes" ? size(length) : `${length} ${kind}`}: ${text.join(" ")} …`;
}
