// Signing in at the loader, in a popup; or on its page, where the browser opens none.
//
// docs/guides/sign-in.md has the whole way.

import type { Loader } from "../api/loader";
import { store, stored } from "./storage";

const STATE = "remote-data-loader-state";
const MESSAGE = "remote-data-loader:";

/** Resolves when somebody is signed in; has to be called on a click. */
export async function signIn(loader: Loader, loginUrl: URL): Promise<void> {
  const state = crypto.randomUUID();
  store("sessionStorage", STATE, state);
  const url = new URL(loginUrl);
  url.searchParams.set("return_to", location.href.split("#")[0] ?? "");
  url.searchParams.set("state", state);
  const popup = window.open(url, "sign-in", "popup,width=520,height=680");
  if (popup === null) {
    location.assign(url);
    return new Promise(() => undefined);
  }
  const code = await new Promise<string>((resolve, reject) => {
    const waiting = new AbortController();
    const over = (then: () => void) => {
      waiting.abort();
      then();
    };
    const closed = setInterval(() => {
      if (popup.closed) over(() => reject(new Error("the window was closed")));
    }, 300);
    waiting.signal.addEventListener("abort", () => clearInterval(closed));
    const hear = ({ origin, data }: MessageEvent<{ type?: string; code?: string; state?: string }>) => {
      // Refused: they may try again there.
      if (origin !== url.origin || data?.type !== `${MESSAGE}code` || data.state !== state) return;
      over(() => resolve(data.code ?? ""));
    };
    window.addEventListener("message", hear, { signal: waiting.signal });
  });
  popup.close();
  await redeem(loader, code, state);
}

/** Without a popup the code comes in the fragment. */
export async function finishSignIn(loader: Loader): Promise<void> {
  const returned = new URLSearchParams(location.hash.slice(1));
  const [code, state] = [returned.get("code"), stored("sessionStorage", STATE)];
  if (code === null) return;
  // It serves once, and belongs in no history.
  history.replaceState(null, "", location.pathname + location.search);
  if (state !== undefined && returned.get("state") === state) await redeem(loader, code, state);
}

async function redeem(loader: Loader, code: string, state: string): Promise<void> {
  store("sessionStorage", STATE);
  const isElsewhere = new URL(loader.address.base).origin !== location.origin;
  const embedded = !isElsewhere && window.top !== window.self;
  await loader.post("v1/session", { code, state, embedded });
}
