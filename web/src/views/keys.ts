// The keyboard, wherever the focus is not in something of its own.

import { later } from "../lib/nanos";
import type { Viewer } from "./viewer";

/** Returns how to stop listening. */
export function keys(viewer: Viewer): () => void {
  const press = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target as HTMLElement;
    if (target.closest("input:not([type=checkbox]), select, textarea")) return;
    const isButton = target.closest("button, a, input") !== null;
    const by = (seconds: number) => {
      const time = later(viewer.status().moment, seconds);
      if (event.repeat) viewer.drag(time);
      else viewer.seek(time);
    };
    const does: Record<string, () => void> = {
      ArrowLeft: () => by(event.shiftKey ? -10 : -1),
      ArrowRight: () => by(event.shiftKey ? 10 : 1),
      Home: () => viewer.seek(viewer.known.range().start),
      End: () => viewer.seek(viewer.known.range().end),
      ",": () => viewer.step(-1),
      ".": () => viewer.step(1),
      "[": () => viewer.selectHere("start"),
      "]": () => viewer.selectHere("end"),
      Escape: () => viewer.select(undefined),
      ...(isButton ? {} : { " ": () => viewer.toggle() }),
    };
    const act = does[event.key];
    if (act === undefined) return;
    event.preventDefault();
    act();
  };
  addEventListener("keydown", press);
  return () => removeEventListener("keydown", press);
}
