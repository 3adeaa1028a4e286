// What stands in the way, in words, with what to do about it.

import { createSignal, onMount, Show } from "solid-js";

import { ofLoader } from "../lib/link";
import type { Failure } from "../player/protocol";
import { SignIn } from "./SignIn";
import type { Viewer } from "./viewer";
import { words } from "./words";

/** For what the player reads. */
export function Trouble(props: { viewer: Viewer }) {
  const { viewer } = props;
  const failure = () => (viewer.status().state === "failed" ? viewer.status().failure : undefined);
  const [saysNothing, setSaysNothing] = createSignal(viewer.selectsNothing);
  return (
    <>
      <Show when={failure()}>
        {(failure) => (
          <div class="trouble" role="alert">
            <span>
              <strong>{words(failure()).title}.</strong> {failure().words}
            </span>
            <span class="stretch" />
            <SignInAgain viewer={viewer} failure={failure()} />
            <Show when={hasOthers(viewer, failure())}>
              <button onClick={() => viewer.retry(true)}>Go on without it</button>
            </Show>
            <button onClick={() => viewer.retry(false)}>Try again from here</button>
          </div>
        )}
      </Show>
      <Show when={viewer.status().missing.length > 0}>
        <div class="trouble mild" role="status">
          Not everything is there: {viewer.status().missing.join("; ")}
          <span class="stretch" />
          <button onClick={() => viewer.retry(false)}>Try again</button>
        </div>
      </Show>
      <Show when={saysNothing()}>
        <div class="trouble mild" role="status">
          The link selects a time that lies outside of this recording: nothing is selected.
          <span class="stretch" />
          <button class="quiet small" aria-label="Close" onClick={() => setSaysNothing(false)}>
            ✕
          </button>
        </div>
      </Show>
    </>
  );
}

/** For what a panel reads beside the player. */
export function PanelTrouble(props: { viewer: Viewer; failure: Failure; again: () => void }) {
  // A source may have failed: its bar shall say so.
  onMount(() => void props.viewer.known.look());
  return (
    <div class="bar" role="alert">
      <p class="bad">{props.failure.words}</p>
      <span class="stretch" />
      <SignInAgain viewer={props.viewer} failure={props.failure} />
      <Show when={props.failure.code !== "unread"}>
        <Show when={hasOthers(props.viewer, props.failure)}>
          <button class="small" onClick={() => props.viewer.retry(true)}>
            Go on without it
          </button>
        </Show>
        <button
          class="small"
          onClick={() => (props.failure.code === "missing" ? props.viewer.retry(false) : props.again())}
        >
          Try again
        </button>
      </Show>
    </div>
  );
}

/** Whether a source failed, and there are others. */
function hasOthers({ known }: Viewer, { status }: Failure): boolean {
  const { sources } = known.recording;
  return (status === 502 || status === 504) && sources.length > 1 && sources.some(({ state }) => state === "failed");
}

/** Where signing in helps, and the loader says where. */
function SignInAgain(props: { viewer: Viewer; failure: Failure }) {
  const url = () => {
    const { loginUrl } = props.failure;
    return loginUrl === undefined ? undefined : ofLoader(loginUrl, props.viewer.loader.address.base);
  };
  return (
    <Show when={words(props.failure).what === "sign-in" && url()}>
      {(url) => <SignIn loader={props.viewer.loader} url={url()} done={() => props.viewer.retry()} />}
    </Show>
  );
}
