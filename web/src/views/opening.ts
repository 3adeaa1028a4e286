// From the page's link to a recording: which loader, how to ask it, and whether somebody has to sign in.

import { Loader, type LoaderAddress, Refused, type Recording, Unreachable } from "../api/loader";
import { loaderBase, ofLoader, type PageLink } from "../lib/link";
import { finishSignIn } from "../lib/signing_in";
import { failureOf } from "../player/failure";
import type { Failure } from "../player/protocol";

export type Opened =
  | { is: "open"; loader: Loader; recording: Recording }
  | { is: "signed-out"; loader: Loader; loginUrl: URL | undefined; failure: Failure }
  | { is: "failed"; failure: Failure };

export async function open(link: PageLink): Promise<Opened> {
  const base = loaderBase(link, location.href);
  if (base === undefined) {
    const words = `ds.dataLoaderUrl is no http(s) address: ${link.loader ?? ""}`;
    return { is: "failed", failure: { words, code: "link" } };
  }
  if (link.query === "") {
    const words = "The link names no recording: it needs a parameter such as ds.recording=….";
    return { is: "failed", failure: { words, code: "link" } };
  }
  const loader = new Loader({ base, credentials: "include", query: link.query });
  try {
    await finishSignIn(loader);
    return await first(loader);
  } catch (error) {
    return failed(loader, error);
  }
}

// A loader elsewhere that everybody may ask refuses pages that send cookies: no answer gets here.
async function first(loader: Loader): Promise<Opened> {
  try {
    return { is: "open", loader, recording: await loader.recording() };
  } catch (error) {
    const isElsewhere = new URL(loader.address.base).origin !== location.origin;
    if (!(error instanceof Unreachable) || !isElsewhere) throw error;
    const address: LoaderAddress = { ...loader.address, credentials: "omit" };
    const other = new Loader(address);
    return { is: "open", loader: other, recording: await other.recording() };
  }
}

function failed(loader: Loader, error: unknown): Opened {
  const failure = failureOf(error);
  if (!(error instanceof Refused) || error.status !== 401) return { is: "failed", failure };
  const { loginUrl } = error;
  const url = loginUrl === undefined ? undefined : ofLoader(loginUrl, loader.address.base);
  return { is: "signed-out", loader, loginUrl: url, failure };
}
