// A button to sign in at the loader; and why that did not work.

import { createSignal } from "solid-js";

import type { Loader } from "../api/loader";
import { signIn } from "../lib/signing_in";
import { failureOf } from "../player/failure";

export function SignIn(props: { loader: Loader; url: URL; done: () => void; class?: string }) {
  const [refusal, setRefusal] = createSignal("");
  const go = async () => {
    setRefusal("");
    try {
      await signIn(props.loader, props.url);
      props.done();
    } catch (error) {
      setRefusal(`Not signed in: ${failureOf(error).words}`);
    }
  };
  return (
    <>
      <button class={props.class} onClick={() => void go()}>
        Sign in
      </button>
      <span role="alert">{refusal()}</span>
    </>
  );
}
