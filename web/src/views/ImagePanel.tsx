// Pictures, as they come.

import { createEffect, Show } from "solid-js";

import { Nothing } from "./RawPanel";
import type { Viewer } from "./viewer";

export function ImagePanel(props: { viewer: Viewer; topic: string }) {
  const shown = props.viewer.newest(props.topic, "picture");
  let canvas!: HTMLCanvasElement;
  createEffect(() => {
    const now = shown();
    if (now?.as !== "picture") return;
    canvas.width = now.picture.width;
    canvas.height = now.picture.height;
    // Takes the bitmap's memory over, and lets go of the one before.
    canvas.getContext("bitmaprenderer")?.transferFromImageBitmap(now.picture);
  });
  const why = () => {
    const now = shown();
    return now?.as === "nothing" ? now.why : undefined;
  };
  return (
    <div class="content picture">
      <canvas
        ref={canvas}
        classList={{ hidden: shown()?.as !== "picture" }}
        role="img"
        aria-label={`Picture of ${props.topic}`}
      />
      <Show when={shown() === undefined}>
        <Nothing viewer={props.viewer} />
      </Show>
      <Show when={why()}>{(why) => <p class="faint pad">No picture: {why()}.</p>}</Show>
    </div>
  );
}
