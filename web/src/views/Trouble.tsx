// What stands in the way of playing, in words, with what to do about it.

import { createSignal, Show } from "solid-js";

import { ofLoader } from "../lib/link";
import { signIn } from "../lib/signing_in";
import { failureOf } from "../player/failure";
import type { Viewer } from "./viewer";
import { words } from "./words";

export function Trouble(props: { viewer: Viewer }) {
  const [problem, setProblem] = createSignal("");
  const failure = () => (props.viewer.status().state === "failed" ? props.viewer.status().failure : undefined);
  const signInAgain = async () => {
    const { loader } = props.viewer;
    const url = ofLoader("login", loader.address.base);
    try {
      if (url !== undefined) await signIn(loader, url);
      setProblem("");
      props.viewer.retry();
    } catch (error) {
      setProblem(`Not signed in: ${failureOf(error).words}`);
    }
  };
  return (
    <>
      <Show when={failure()}>
        {(failure) => (
          <div class="trouble" role="alert">
            <strong>{words(failure()).title}.</strong> {failure().words} {problem()}
            <span class="stretch" />
            <Show when={words(failure()).what === "sign-in"}>
              <button onClick={() => void signInAgain()}>Sign in</button>
            </Show>
            <button onClick={() => props.viewer.retry()}>Try again from here</button>
          </div>
        )}
      </Show>
      <Show when={props.viewer.status().missing.length > 0}>
        <div class="trouble mild" role="status">
          Not everything is there: {props.viewer.status().missing.join("; ")}
        </div>
      </Show>
    </>
  );
}
