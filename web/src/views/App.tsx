// The page: what is opened, or why nothing is.

import { createSignal, For, Match, onCleanup, onMount, Show, Switch } from "solid-js";

import type { Loader, Recording, Source } from "../api/loader";
import { type PageLink, parseLink } from "../lib/link";
import { signIn } from "../lib/signing_in";
import { failureOf } from "../player/failure";
import { Header } from "./Header";
import { keys } from "./keys";
import { open, type Opened } from "./opening";
import { Panels } from "./Panels";
import { Timeline } from "./Timeline";
import { Topics } from "./Topics";
import { Transport } from "./Transport";
import { Trouble } from "./Trouble";
import { Viewer } from "./viewer";
import { words } from "./words";

// A recording of which not even the times are known is asked for again so often.
const LOOK_AGAIN_MS = 1000;

export function App() {
  const link = parseLink(location.search);
  const [opened, setOpened] = createSignal<Opened>();
  const begin = async () => {
    setOpened(undefined);
    setOpened(await open(link));
  };
  onMount(() => void begin());
  const as = <Is extends Opened["is"]>(is: Is) => {
    const now = opened();
    return now?.is === is ? (now as Opened & { is: Is }) : undefined;
  };
  return (
    <Switch fallback={<p class="notice" role="status">Opening the recording…</p>}>
      <Match when={as("signed-out")} keyed>
        {(now) => <SignedOut opened={now} again={begin} />}
      </Match>
      <Match when={as("failed")} keyed>
        {({ failure }) => (
          <main class="notice" role="alert">
            <h1>{words(failure).title}</h1>
            <p>{failure.words}</p>
            <button onClick={() => void begin()}>Try again</button>
          </main>
        )}
      </Match>
      <Match when={as("open")} keyed>
        {(now) => (
          <Show
            when={now.recording.start !== null}
            fallback={<Unknown loader={now.loader} recording={now.recording} again={begin} />}
          >
            <Open loader={now.loader} recording={now.recording} link={link} />
          </Show>
        )}
      </Match>
    </Switch>
  );
}

function Open(props: { loader: Loader; recording: Recording; link: PageLink }) {
  const viewer = new Viewer(props.loader, props.recording, props.link);
  document.title = viewer.recording.name ?? "Recording";
  onMount(() => onCleanup(keys(viewer)));
  const [showsTopics, setShowsTopics] = createSignal(innerWidth > 720);
  return (
    <div class="page">
      <Header viewer={viewer} showsTopics={showsTopics()} setShowsTopics={setShowsTopics} />
      <Trouble viewer={viewer} />
      <div class="middle">
        <Show when={showsTopics()}>
          <Topics viewer={viewer} />
        </Show>
        <Panels viewer={viewer} />
      </div>
      <footer>
        <Transport viewer={viewer} />
        <Timeline viewer={viewer} />
      </footer>
    </div>
  );
}

/** Sources that say no times have to be loaded before there is anything to show. */
function Unknown(props: { loader: Loader; recording: Recording; again: () => void }) {
  const [isOver, setOver] = createSignal(false);
  const asked = new URLSearchParams({ prefetch: "true" });
  const events = new EventSource(props.loader.about("v1/events", asked), {
    withCredentials: props.loader.address.credentials === "include",
  });
  const [recording, setRecording] = createSignal(props.recording);
  const look = async () => {
    const now = await props.loader.recording().catch(() => undefined);
    if (now === undefined) return;
    setRecording(now);
    if (now.start !== null) props.again();
  };
  const timer = setInterval(() => void look(), LOOK_AGAIN_MS);
  const stop = () => {
    clearInterval(timer);
    events.close();
  };
  const over = () => {
    stop();
    void look().then(() => setOver(true));
  };
  events.addEventListener("done", over);
  events.addEventListener("failed", over);
  events.onerror = () => events.readyState === EventSource.CLOSED && over();
  onCleanup(stop);
  const inState = (state: Source["state"]) => recording().sources.filter((source) => source.state === state);
  const why = () => {
    const { sources } = recording();
    if (sources.length === 0) return "The data backend lists no sources for this recording.";
    if (inState("pending").length > 0) return "Its sources were not loaded.";
    return inState("failed").length === 0 ? "Its sources have no messages." : "";
  };
  return (
    <Show
      when={isOver()}
      fallback={
        <p class="notice" role="status">
          No source says when it begins: they are being loaded to find out…
        </p>
      }
    >
      <main class="notice" role="alert">
        <h1>{recording().name ?? "Recording"}: there is nothing to show</h1>
        <p>{why()}</p>
        <For each={inState("failed")}>
          {({ id, error }) => <p>{id}: {error ?? "It failed."}</p>}
        </For>
        <button onClick={props.again}>Try again</button>
      </main>
    </Show>
  );
}

function SignedOut(props: { opened: Opened & { is: "signed-out" }; again: () => void }) {
  const [problem, setProblem] = createSignal("");
  const go = async (url: URL) => {
    setProblem("");
    try {
      await signIn(props.opened.loader, url);
      props.again();
    } catch (error) {
      setProblem(`Not signed in: ${failureOf(error).words}`);
    }
  };
  return (
    <main class="notice">
      <h1>Sign in to see this recording</h1>
      <Show
        when={props.opened.loginUrl}
        fallback={<p>{props.opened.failure.words}. This loader has no page to sign in at.</p>}
      >
        {(url) => (
          <>
            <p>The loader at {url().host} wants to know who you are.</p>
            <button class="primary" onClick={() => void go(url())}>Sign in</button>
          </>
        )}
      </Show>
      <p role="alert">{problem()}</p>
    </main>
  );
}
