// Files that the loader still has to make: a browser that is sent to one gives up, or leaves the page.

import { type Loader, Refused } from "../api/loader";
import { wait } from "../lib/wait";

// Where the answer does not say when to ask again, such as a proxy's.
const PAUSE_SECONDS = 2;

/** Resolves when the file can be downloaded, and says in between what it waits for. */
export async function ready(
  loader: Pick<Loader, "ask">,
  file: URL,
  say: (words: string) => void,
  signal: AbortSignal,
): Promise<void> {
  say("The loader makes the file ready…");
  for (;;) {
    try {
      // Not HEAD, whose answer would not say why.
      const answer = await loader.ask(file, { headers: { range: "bytes=0-0" }, signal });
      await answer.body?.cancel();
      return;
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 503) throw error;
      say(error.message);
      await wait(1000 * (error.retryAfterSeconds ?? PAUSE_SECONDS), signal);
    }
  }
}
