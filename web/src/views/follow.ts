// How the sources of a recording come along, while somebody sees the page.

import type { Loader, RecordingEvent } from "../api/loader";

interface Told {
  event(now: RecordingEvent): void;
  /** Nothing loads any more, or the loader refuses to tell. */
  over(): void;
}

/** With `prefetch` the loader loads all there is. Returns how to stop listening. */
export function follow(loader: Loader, prefetch: boolean, told: Told): () => void {
  const url = loader.about("v1/events", new URLSearchParams(prefetch ? { prefetch: "true" } : {}));
  const withCredentials = loader.address.credentials === "include";
  let events: EventSource | undefined;
  const stop = () => {
    document.removeEventListener("visibilitychange", begin);
    events?.close();
  };
  const over = () => {
    stop();
    told.over();
  };
  const begin = () => {
    events?.close();
    if (document.hidden) return;
    const now = new EventSource(url, { withCredentials });
    events = now;
    now.onmessage = ({ data }: MessageEvent<string>) => told.event(JSON.parse(data) as RecordingEvent);
    now.addEventListener("done", over);
    now.addEventListener("failed", over);
    // Where no answer came, the browser asks again by itself.
    now.onerror = () => now.readyState === EventSource.CLOSED && over();
  };
  document.addEventListener("visibilitychange", begin);
  begin();
  return stop;
}
