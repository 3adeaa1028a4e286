// Where to go from here: a link to what is seen, other viewers, a file, a command.

import { createEffect, createSignal, For, onCleanup, Show } from "solid-js";

import type { Selection } from "../api/loader";
import { copies } from "../lib/clipboard";
import { formatLink, ofLoader } from "../lib/link";
import { parseNanos } from "../lib/nanos";
import { store, stored } from "../lib/storage";
import { failureOf } from "../player/failure";
import { curlFor, pythonFor } from "./commands";
import { ready } from "./ready";
import type { Viewer } from "./viewer";
import { clock, day } from "./words";

const LICHTBLICK = "remote-data-loader-lichtblick";
// What was said to have been done stands there so long.
const SAID_MS = 4000;

export function HandOn(props: { viewer: Viewer }) {
  const viewer = props.viewer;
  const [isOpen, setOpen] = createSignal(false);
  const [said, setSaid] = createSignal("");
  const [byHand, setByHand] = createSignal<string>();
  const [lichtblick, setLichtblick] = createSignal(stored("localStorage", LICHTBLICK) ?? "");
  const [download, setDownload] = createSignal<{ waitsFor: string; stop: () => void }>();
  let menu!: HTMLDivElement;
  let button!: HTMLButtonElement;
  let forget: ReturnType<typeof setTimeout> | undefined;

  const say = (text: string) => {
    setSaid(text);
    clearTimeout(forget);
    forget = setTimeout(() => setSaid(""), SAID_MS);
  };
  const act = async (what: () => Promise<string>) => {
    try {
      say(await what());
    } catch (error) {
      say(failureOf(error).words);
    }
  };
  const copy = async (text: string, what: string) => {
    const isCopied = await copies(text);
    setByHand(isCopied ? undefined : text);
    return isCopied ? `Copied ${what}` : "The browser does not copy for this page: copy it by hand";
  };

  const selection = (): Selection => {
    const stretch = viewer.stretch();
    return {
      topics: [...viewer.selected()],
      ...(stretch && { ...stretch, replayPolicy: "lastPerChannel" as const }),
    };
  };
  const isPart = () => viewer.stretch() !== undefined || viewer.selected().size > 0;
  const what = () => {
    const count = viewer.selected().size;
    const topics = count === 0 ? "all topics" : count === 1 ? "1 topic" : `${count} topics`;
    return `${topics}, ${viewer.stretch() ? "the selected time" : "all of the time"}`;
  };
  /** The address of the file with what is selected, only on the loader itself; and when it ends. */
  const file = async () => {
    const { file, expires } = await viewer.loader.links(selection());
    const url = ofLoader(`.${file}`, viewer.loader.address.base);
    if (url === undefined) throw new Error("the loader gave a link to somewhere else");
    const ends = parseNanos(expires ?? "");
    return { url: url.href, until: ends === undefined ? "" : `, good until ${day(ends)} ${clock(ends).slice(0, 5)} UTC` };
  };
  const openIn = (address: string, name: string) => {
    // Now, or the browser takes it for a popup.
    const tab = window.open("about:blank");
    void act(async () => {
      try {
        const url = new URL(address);
        url.searchParams.set("ds", "remote-file");
        url.searchParams.set("ds.url", (await file()).url);
        if (tab === null) throw new Error("the browser opens no other tab");
        tab.opener = null;
        tab.location.href = url.href;
        return `Opened in ${name}`;
      } catch (error) {
        tab?.close();
        throw error;
      }
    });
  };
  const begin = () =>
    act(async () => {
      download()?.stop();
      const own = new AbortController();
      const stop = () => own.abort(new Error("The download was stopped"));
      const say = (waitsFor: string) => setDownload({ waitsFor, stop });
      const anchor = document.createElement("a");
      anchor.download = "";
      try {
        anchor.href = (await file()).url;
        await ready(viewer.loader, new URL(anchor.href), say, own.signal);
      } finally {
        if (download()?.stop === stop) setDownload(undefined);
      }
      anchor.click();
      return "The download begins";
    });
  onCleanup(() => download()?.stop());
  const copyCommand = (command: (url: string) => string, what: string) =>
    act(async () => {
      const { url, until } = await file();
      return copy(command(url), what + until);
    });

  const closeOutside = (event: Event) => {
    if (isOpen() && !menu.contains(event.target as Node)) setOpen(false);
  };
  document.addEventListener("pointerdown", closeOutside);
  onCleanup(() => document.removeEventListener("pointerdown", closeOutside));

  const here = () => new URL(formatLink(viewer.here()), location.href).href;
  const entries: [string, () => void][] = [
    ["Copy link to this moment", () => void act(() => copy(here(), "the link"))],
    ["Download as MCAP", () => void begin()],
    ["Copy curl", () => void copyCommand(curlFor, "a curl command")],
    ["Copy Python", () => void copyCommand(pythonFor, "a Python program")],
    ["Open in Foxglove", () => openIn("https://app.foxglove.dev/~/view", "Foxglove")],
  ];
  return (
    <div
      class="hand-on"
      ref={menu}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !isOpen()) return;
        // The page's own Escape selects no time.
        event.stopPropagation();
        setOpen(false);
        button.focus();
      }}
    >
      <button
        ref={button}
        aria-expanded={isOpen()}
        aria-haspopup="true"
        onClick={() => {
          setByHand(undefined);
          setOpen(!isOpen());
        }}
      >
        Hand on
      </button>
      <Show when={isOpen()}>
        <div class="menu">
          <p class="faint">{isPart() ? "Selected" : "Nothing is selected"}: {what()}</p>
          <For each={entries}>{([name, choose]) => <button onClick={choose}>{name}</button>}</For>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              store("localStorage", LICHTBLICK, lichtblick());
              openIn(lichtblick(), "Lichtblick");
            }}
          >
            <input
              type="url"
              required
              pattern="https?://.*"
              aria-label="Address of your Lichtblick"
              placeholder="https://your.lichtblick"
              value={lichtblick()}
              onInput={({ currentTarget }) => setLichtblick(currentTarget.value)}
            />
            <button>Open in Lichtblick</button>
          </form>
          <Show when={byHand()}>{(text) => <ByHand text={text()} />}</Show>
        </div>
      </Show>
      <Show when={download()} fallback={<output class="said" role="status">{said()}</output>}>
        {(download) => (
          <output class="said" role="status">
            {download().waitsFor} <button class="small" onClick={() => download().stop()}>Stop</button>
          </output>
        )}
      </Show>
    </div>
  );
}

/** Selected, so that a key copies it. */
function ByHand(props: { text: string }) {
  let area!: HTMLTextAreaElement;
  createEffect(() => {
    area.value = props.text;
    area.focus();
    area.select();
  });
  return <textarea class="mono" readonly rows="5" aria-label="To be copied by hand" ref={area} />;
}
