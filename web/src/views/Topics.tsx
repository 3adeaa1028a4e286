// The topics: what they are, how much there is of them and when, which are selected, and panels of them.

import { createMemo, createSignal, For, Show } from "solid-js";

import type { Topic } from "../api/loader";
import { secondsBetween } from "../lib/nanos";
import { panelFor } from "./choices";
import { bands, told } from "./spans";
import type { Viewer } from "./viewer";

export function Topics(props: { viewer: Viewer }) {
  const viewer = props.viewer;
  const [filter, setFilter] = createSignal("");
  const found = createMemo(() => {
    const words = filter().toLowerCase().split(/\s+/).filter(Boolean);
    return viewer.known.recording.topics.filter(({ name, schemaName }) =>
      words.every((word) => `${name} ${schemaName ?? ""}`.toLowerCase().includes(word)),
    );
  });
  const seconds = () => secondsBetween(viewer.known.range().start, viewer.known.range().end);
  const count = ({ messageCount }: Topic) =>
    messageCount === null ? "" : messageCount.toLocaleString("en");
  const rate = ({ messageCount }: Topic) => {
    if (messageCount === null || messageCount < 2 || seconds() <= 0) return "";
    const hertz = messageCount / seconds();
    return `${hertz >= 10 ? Math.round(hertz) : hertz.toPrecision(2)} Hz`;
  };
  const about = ({ name, schemaName, messageEncoding }: Topic) =>
    `Open ${name}\n${schemaName ?? "no schema"} in ${messageEncoding}\n${told(viewer.known.spans().get(name) ?? [], viewer.known.range())}`;
  const isAllSelected = () => found().length > 0 && found().every(({ name }) => viewer.selected().has(name));
  const toggleAll = () => {
    const names = found().map(({ name }) => name);
    const rest = [...viewer.selected()].filter((name) => !names.includes(name));
    viewer.setSelected(isAllSelected() ? rest : [...rest, ...names]);
  };
  return (
    <aside aria-label="Topics">
      <div class="bar">
        <input
          type="search"
          placeholder="Filter topics"
          aria-label="Filter topics"
          value={filter()}
          onInput={({ currentTarget }) => setFilter(currentTarget.value)}
        />
        <label class="small" title="Select what is listed, to hand it on">
          <input type="checkbox" checked={isAllSelected()} onChange={toggleAll} /> all
        </label>
        <button
          class="small"
          title="Open a plot, to type fields into"
          onClick={() => viewer.panels.open({ kind: "plot", fields: [] })}
        >
          Plot
        </button>
      </div>
      <ul class="topics">
        <For each={found()} fallback={<li class="faint pad">{filter() === "" ? "No topics are known." : "No topic is called so."}</li>}>
          {(topic) => (
            <li
              onPointerEnter={() => viewer.point(topic.name)}
              onPointerLeave={() => viewer.point(undefined)}
              onFocusIn={() => viewer.point(topic.name)}
              onFocusOut={() => viewer.point(undefined)}
            >
              <input
                type="checkbox"
                aria-label={`Select ${topic.name}`}
                title="Select, to hand it on"
                checked={viewer.selected().has(topic.name)}
                onChange={() => viewer.toggleTopic(topic.name)}
              />
              <button
                class="topic"
                title={about(topic)}
                onClick={() => viewer.panels.open(panelFor(topic))}
              >
                <span class="name">{topic.name}</span>
                <span class="numbers mono">{rate(topic)}</span>
                <span class="schema">
                  {topic.schemaName ?? "no schema"} · {topic.messageEncoding || "?"}
                </span>
                <span class="numbers mono">{count(topic)}</span>
                <Span viewer={viewer} topic={topic.name} />
              </button>
              <Show when={panelFor(topic).kind !== "raw"}>
                <button
                  class="quiet small"
                  title={`Open the messages of ${topic.name} as they are`}
                  aria-label={`Open the messages of ${topic.name} as they are`}
                  onClick={() => viewer.panels.open({ kind: "raw", topic: topic.name })}
                >
                  {"{ }"}
                </button>
              </Show>
            </li>
          )}
        </For>
      </ul>
    </aside>
  );
}

/** Where a topic has data, along the recording. */
function Span(props: { viewer: Viewer; topic: string }) {
  const { viewer } = props;
  // There are many: one that stays as it is is not drawn again.
  const ranges = createMemo(() => viewer.known.spans().get(props.topic) ?? []);
  return <span class="span" style={{ "background-image": bands(ranges(), viewer.known.range()) }} />;
}
