// Turns the newest messages into what panels show. Only what changed, and only as fast as the page draws:
// what came in between is left out. A video that takes longer comes when it is decoded: nothing waits for it.

import { decoderOf } from "./decode";
import { failureOf } from "./failure";
import { pictureIn } from "./images";
import type { Message } from "./messages";
import type { Frame } from "./player";
import type { FromWorker, Shown, Status, Watch } from "./protocol";
import { toTree } from "./tree";
import { isVideo } from "./video";
import { browserDecoders } from "./video/browser";
import { Screen } from "./video/screen";

const MOST_HEX = 4096;
// A page that draws nothing (it is hidden, or busy) is sent a frame as often as this.
const LONGEST_PAUSE_MS = 1000;
// So long a frame waits for its videos.
const VIDEO_MS = 100;

type VideoScreen = Screen<VideoFrame, ImageBitmap>;

/** A frame, and the last seek of before it was made. */
type Numbered = Frame & { serial: number };

export class Showing {
  private watches: readonly Watch[] = [];
  private readonly sent = new Map<number, Message>();
  private readonly screens = new Map<number, VideoScreen>();
  /** Pictures of videos that are still to be sent, by watches. */
  private readonly decoded = new Map<number, Shown>();
  private frame: Numbered | undefined;
  private isStale = false;
  private isBusy = false;
  private shown: (() => void) | undefined;

  constructor(private readonly tell: (message: FromWorker, transfer: Transferable[]) => void) {}

  watch(watches: readonly Watch[]): void {
    this.watches = watches;
    const ids = new Set(watches.map(({ id }) => id));
    for (const id of this.sent.keys()) if (!ids.has(id)) this.sent.delete(id);
    for (const [id, screen] of this.screens) {
      if (ids.has(id)) continue;
      screen.close();
      this.screens.delete(id);
      this.keep(id, undefined);
    }
  }

  /** The page has drawn the last frame. */
  drawn(): void {
    this.shown?.();
  }

  show(frame: Numbered): void {
    this.frame = frame;
    this.isStale = true;
    if (!this.isBusy) void this.go();
  }

  private async go(): Promise<void> {
    this.isBusy = true;
    for (let frame; (frame = this.frame) !== undefined && (this.isStale || this.decoded.size > 0); ) {
      this.isStale = false;
      const { shown, gone } = await this.changes(frame);
      const transfer = shown.flatMap((one) => (one.as === "picture" ? [one.picture] : []));
      this.tell({ is: "frame", status: statusOf(frame), shown, gone }, transfer);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, LONGEST_PAUSE_MS);
        this.shown = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.isBusy = false;
  }

  private async changes({ newest }: Frame): Promise<{ shown: Shown[]; gone: number[] }> {
    const gone: number[] = [];
    const shown: Promise<Shown>[] = [];
    const videos: Promise<void>[] = [];
    for (const watch of newest === undefined ? [] : this.watches) {
      const { id } = watch;
      const run = newest?.get(watch.topic) ?? [];
      const message = run.at(-1);
      if (message === this.sent.get(id)) continue;
      if (message !== undefined && watch.as === "picture" && isVideo(message.channel)) {
        videos.push(this.screen(id, message).ask(run));
        this.sent.set(id, message);
        continue;
      }
      this.screens.get(id)?.forget();
      this.keep(id, undefined);
      if (message === undefined) {
        this.sent.delete(id);
        gone.push(id);
      } else {
        this.sent.set(id, message);
        shown.push(shownAs(watch, message));
      }
    }
    if (videos.length > 0) {
      const pause = new Promise<void>((resolve) => setTimeout(resolve, VIDEO_MS));
      await Promise.race([Promise.all(videos), pause]);
    }
    const others = await Promise.all(shown);
    const decoded = [...this.decoded.values()];
    this.decoded.clear();
    return { shown: [...others, ...decoded], gone };
  }

  private screen(id: number, message: Message): VideoScreen {
    let screen = this.screens.get(id);
    if (screen === undefined) {
      this.decoded.set(id, { ...head(id, message), as: "nothing", why: "it is still being decoded" });
      screen = new Screen(browserDecoders, (frame) => createImageBitmap(frame), (message, made) => {
        const common = head(id, message);
        if (made instanceof Error) this.keep(id, { ...common, as: "nothing", why: made.message });
        else this.keep(id, { ...common, as: "picture", picture: made });
      });
      this.screens.set(id, screen);
    }
    return screen;
  }

  /** Instead of what was kept for the watch, to be sent with the next frame. */
  private keep(id: number, shown: Shown | undefined): void {
    const before = this.decoded.get(id);
    if (before?.as === "picture") before.picture.close();
    this.decoded.delete(id);
    if (shown === undefined) return;
    this.decoded.set(id, shown);
    if (!this.isBusy) void this.go();
  }
}

function head(id: number, { logTime: time, data }: Message): Pick<Shown, "id" | "time" | "bytes"> {
  return { id, time, bytes: data.length };
}

async function shownAs({ id, as }: Watch, message: Message): Promise<Shown> {
  const { channel, data } = message;
  const common = head(id, message);
  const hex = (why: string): Shown => ({ ...common, as: "hex", data: data.slice(0, MOST_HEX), why });
  const nothing = (why: string): Shown => ({ ...common, as: "nothing", why });
  const decoder = await decoderOf(channel);
  if ("why" in decoder) return as === "tree" ? hex(decoder.why) : nothing(decoder.why);
  try {
    const value = decoder(data);
    if (as === "tree") return { ...common, as, tree: toTree(value) };
    const picture = pictureIn(value);
    const source =
      picture.kind === "raw"
        ? new ImageData(picture.pixels, picture.width, picture.height)
        : new Blob([picture.data as Uint8Array<ArrayBuffer>], { type: picture.type });
    return { ...common, as, picture: await createImageBitmap(source) };
  } catch (error) {
    const { words } = failureOf(error);
    return as === "tree" ? hex(words) : nothing(words);
  }
}

function statusOf({ state, moment, serial, from, until, bytes, error, missing }: Numbered): Status {
  const status: Status = { state, moment, serial, from, until, bytes, missing };
  if (error !== undefined) status.failure = failureOf(error);
  return status;
}
