// The panels, side by side.

import { createEffect, createSignal, For, Match, onCleanup, onMount, Show, Switch } from "solid-js";

import type { Panel } from "../lib/link";
import { unknownOf } from "./choices";
import { ImagePanel } from "./ImagePanel";
import { LogPanel } from "./LogPanel";
import { PlotPanel } from "./PlotPanel";
import { RawPanel } from "./RawPanel";
import type { Viewer } from "./viewer";

// What a panel has at least, as the style says.
const COLUMN_PX = 361;

function of<Kind extends Panel["kind"]>(kind: Kind, panel: Panel) {
  return panel.kind === kind ? (panel as Extract<Panel, { kind: Kind }>) : undefined;
}

export function Panels(props: { viewer: Viewer }) {
  const viewer = props.viewer;
  let place!: HTMLElement;
  const [columns, setColumns] = createSignal(2);
  onMount(() => {
    const observer = new ResizeObserver(() => setColumns(Math.max(1, Math.floor(place.clientWidth / COLUMN_PX))));
    observer.observe(place);
    onCleanup(() => observer.disconnect());
  });
  const rows = () => Math.ceil(viewer.panels.all().length / columns()) || 1;
  const missing = (panel: Panel) => {
    return "topic" in panel && unknownOf([panel.topic], viewer.known.topicNames()).length > 0;
  };
  const title = (panel: Panel) => {
    switch (panel.kind) {
      case "plot":
        return "Plot";
      case "log":
        return panel.topics.length === 1 ? (panel.topics[0] ?? "Log") : "Log";
      default:
        return panel.topic;
    }
  };
  return (
    <main class="panels" ref={place} style={{ "--rows": String(rows()) }}>
      <For
        each={viewer.panels.all()}
        fallback={
          <p class="notice faint">
            {viewer.known.recording.topics.length === 0
              ? "No source of this recording names a topic."
              : "Nothing is open: pick a topic."}
          </p>
        }
      >
        {({ id, panel, change }) => (
          <section
            class={`panel ${panel().kind}`}
            aria-label={`${panel().kind} ${title(panel())}`}
            tabindex="-1"
            ref={(section) => createEffect(() => viewer.panels.openedLast().id === id && section.focus())}
          >
            <div class="bar">
              <h2>{title(panel())}</h2>
              <span class="stretch" />
              <button class="quiet small" aria-label="Close" title="Close" onClick={() => viewer.panels.close(id)}>
                ✕
              </button>
            </div>
            <Show when={!missing(panel())} fallback={<p class="faint pad">The recording has no such topic.</p>}>
              <Switch>
                <Match when={(panel().kind === "raw" && (panel() as { topic: string }))}>
                  {(panel) => <RawPanel viewer={viewer} topic={panel().topic} />}
                </Match>
                <Match when={(panel().kind === "image" && (panel() as { topic: string }))}>
                  {(panel) => <ImagePanel viewer={viewer} topic={panel().topic} />}
                </Match>
                <Match when={of("plot", panel())}>
                  {(panel) => (
                    <PlotPanel
                      viewer={viewer}
                      fields={panel().fields}
                      change={(fields) =>
                        fields.length === 0 ? viewer.panels.close(id) : change({ kind: "plot", fields })
                      }
                    />
                  )}
                </Match>
                <Match when={of("log", panel())}>
                  {(panel) => <LogPanel viewer={viewer} topics={panel().topics} />}
                </Match>
              </Switch>
            </Show>
          </section>
        )}
      </For>
    </main>
  );
}
