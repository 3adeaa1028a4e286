// Where the topics have data that are open, selected, or pointed at: a lane each, on the timeline.

import { createMemo, For, Show } from "solid-js";

import { laneTopics } from "./choices";
import { bands, told } from "./spans";
import type { Viewer } from "./viewer";

// One more is kept for the topic that is pointed at, so that nothing moves when one is.
const MOST = 7;

export function Lanes(props: { viewer: Viewer }) {
  const viewer = props.viewer;
  const topics = createMemo(() => {
    return laneTopics(viewer.panels.now, viewer.selected(), [...viewer.known.spans().keys()]).slice(0, MOST);
  });
  const extra = () => {
    const pointed = viewer.pointed();
    return pointed !== undefined && !topics().includes(pointed) ? pointed : undefined;
  };
  return (
    <div class="lanes" aria-hidden="true">
      <Show when={extra()} fallback={<div class="lane spare" />}>
        {(topic) => <Lane viewer={viewer} topic={topic()} />}
      </Show>
      <For each={topics()}>{(topic) => <Lane viewer={viewer} topic={topic} />}</For>
    </div>
  );
}

function Lane(props: { viewer: Viewer; topic: string }) {
  const { viewer } = props;
  return (
    <div
      class="lane"
      classList={{ pointed: viewer.pointed() === props.topic }}
      data-topic={props.topic}
      style={{ "background-image": bands(viewer.known.spans().get(props.topic) ?? [], viewer.known.range()) }}
    >
      <span>{props.topic}</span>
    </div>
  );
}

/** What is under this place of the page, in words, if it is a lane. */
export function laneAt(viewer: Viewer, { target }: Event): string | undefined {
  const topic = target instanceof Element && target.closest<HTMLElement>(".lane")?.dataset["topic"];
  return topic ? `${topic} · ${told(viewer.known.spans().get(topic) ?? [], viewer.known.range())}` : undefined;
}
