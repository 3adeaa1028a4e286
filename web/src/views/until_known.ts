// When a recording begins of which no source says it: that is known once enough of it is loaded.

import type { Loader, Recording } from "../api/loader";
import { wait } from "../lib/wait";

// It is asked again so long after each answer.
const LOOK_AGAIN_MS = 1000;

/** Resolves when it is known; or, without it, once all is loaded that will be. Asks one question at a time. */
export async function untilKnown(
  loader: Pick<Loader, "recording">,
  loaded: AbortSignal,
  gone: AbortSignal,
): Promise<Recording> {
  for (;;) {
    // No longer than until all is loaded.
    await wait(LOOK_AGAIN_MS, loaded).catch(() => undefined);
    gone.throwIfAborted();
    const isLast = loaded.aborted;
    if (document.hidden && !isLast) continue;
    const recording = await loader.recording(gone);
    if (recording.start !== null || isLast) return recording;
  }
}
