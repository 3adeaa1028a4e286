// The page: what is opened, or why nothing is.

import { createSignal, ErrorBoundary, Match, onCleanup, onMount, Show, Switch } from "solid-js";

import type { Loader, Recording } from "../api/loader";
import { type PageLink, parseLink } from "../lib/link";
import { failureOf } from "../player/failure";
import { Header } from "./Header";
import { keys } from "./keys";
import { open, type Opened } from "./opening";
import { Panels } from "./Panels";
import { SignIn } from "./SignIn";
import { Timeline } from "./Timeline";
import { Topics } from "./Topics";
import { Transport } from "./Transport";
import { Trouble } from "./Trouble";
import { Unknown } from "./Unknown";
import { Viewer } from "./viewer";
import { words } from "./words";

export function App() {
  return (
    <ErrorBoundary fallback={(error: unknown) => <Broken error={error} />}>
      <Page />
    </ErrorBoundary>
  );
}

function Page() {
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
            fallback={<Unknown loader={now.loader} again={() => void begin()} />}
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
  document.title = viewer.known.recording.name ?? "Recording";
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

/** A fault of the page itself. */
function Broken(props: { error: unknown }) {
  console.error(props.error);
  return (
    <main class="notice" role="alert">
      <h1>The page went wrong</h1>
      <p>{failureOf(props.error).words}</p>
      <button onClick={() => location.reload()}>Load it again</button>
    </main>
  );
}

function SignedOut(props: { opened: Opened & { is: "signed-out" }; again: () => void }) {
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
            <SignIn class="primary" loader={props.opened.loader} url={url()} done={props.again} />
          </>
        )}
      </Show>
    </main>
  );
}
