// Turns the newest messages into what panels show. Only what changed, and only as fast as the page draws:
// what came in between is left out.

import { decoderOf } from "./decode";
import { pictureIn } from "./images";
import type { Message } from "./messages";
import type { Frame } from "./player";
import { failureOf } from "./failure";
import type { FromWorker, Shown, Status, Watch } from "./protocol";
import { toTree } from "./tree";

const MOST_HEX = 4096;
// A page that draws nothing (it is hidden, or busy) is sent a frame as often as this.
const LONGEST_PAUSE_MS = 1000;

/** A frame, and the last seek of before it was made. */
type Numbered = Frame & { serial: number };

export class Showing {
  private watches: readonly Watch[] = [];
  private readonly sent = new Map<number, Message>();
  private frame: Numbered | undefined;
  private isBusy = false;
  private shown: (() => void) | undefined;

  constructor(private readonly tell: (message: FromWorker, transfer: Transferable[]) => void) {}

  watch(watches: readonly Watch[]): void {
    this.watches = watches;
    for (const id of this.sent.keys()) {
      if (!watches.some((watch) => watch.id === id)) this.sent.delete(id);
    }
  }

  /** The page has drawn the last frame. */
  drawn(): void {
    this.shown?.();
  }

  show(frame: Numbered): void {
    this.frame = frame;
    if (!this.isBusy) void this.go();
  }

  private async go(): Promise<void> {
    this.isBusy = true;
    for (let frame; (frame = this.frame) !== undefined; ) {
      this.frame = undefined;
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
    if (newest === undefined) return { shown: [], gone: [] };
    const gone: number[] = [];
    const shown: Promise<Shown>[] = [];
    for (const watch of this.watches) {
      const message = newest.get(watch.topic);
      if (message === this.sent.get(watch.id)) continue;
      if (message === undefined) {
        this.sent.delete(watch.id);
        gone.push(watch.id);
      } else {
        this.sent.set(watch.id, message);
        shown.push(shownAs(watch, message));
      }
    }
    return { shown: await Promise.all(shown), gone };
  }
}

async function shownAs({ id, as }: Watch, { channel, logTime: time, data }: Message): Promise<Shown> {
  const head = { id, time, bytes: data.length };
  const hex = (why: string): Shown => ({ ...head, as: "hex", data: data.slice(0, MOST_HEX), why });
  const decoder = await decoderOf(channel);
  if ("why" in decoder) return as === "tree" ? hex(decoder.why) : { ...head, as: "nothing", why: decoder.why };
  try {
    const value = decoder(data);
    if (as === "tree") return { ...head, as, tree: toTree(value) };
    const picture = pictureIn(value);
    const source =
      picture.kind === "raw"
        ? new ImageData(picture.pixels, picture.width, picture.height)
        : new Blob([picture.data as Uint8Array<ArrayBuffer>], { type: picture.type });
    return { ...head, as, picture: await createImageBitmap(source) };
  } catch (error) {
    const { words } = failureOf(error);
    return as === "tree" ? hex(words) : { ...head, as: "nothing", why: words };
  }
}

function statusOf({ state, moment, serial, from, until, bytes, error, missing }: Numbered): Status {
  const status: Status = { state, moment, serial, from, until, bytes, missing };
  if (error !== undefined) status.failure = failureOf(error);
  return status;
}
