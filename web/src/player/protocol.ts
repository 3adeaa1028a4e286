// What the page and its worker say to each other.

import type { LoaderAddress } from "../api/loader";
import type { Nanos } from "../lib/nanos";
import type { LogLine } from "./logs";
import type { Range, State } from "./player";
import type { Line } from "./series";
import type { Tree } from "./tree";

/** What a panel wants of its topic: the newest message at the moment. */
export interface Watch {
  id: number;
  topic: string;
  as: "tree" | "picture";
}

export interface Field {
  topic: string;
  path: string;
}

/** Work over the whole range, beside the player. */
export type Errand =
  | { kind: "series"; fields: Field[]; from: Nanos; to: Nanos; origin: Nanos }
  /** Of more lines than are kept, the last ones, or the first. */
  | { kind: "logs"; topics: string[]; from: Nanos; to: Nanos; keepsFirst?: boolean };

export type ToWorker =
  | ({ do: "open"; loader: LoaderAddress; moment: Nanos; partial: boolean } & Range)
  | ({ do: "range" } & Range)
  | { do: "watch"; watches: Watch[] }
  | { do: "seek"; time: Nanos; serial: number }
  | { do: "play" | "pause" | "shown" | "ping" }
  /** Partial: from now on without sources that fail. */
  | { do: "retry"; partial: boolean }
  | { do: "step"; direction: 1 | -1 }
  | { do: "speed"; speed: number }
  | { do: "loop"; loop: { from: Nanos; to: Nanos } | undefined }
  | { do: "begin"; id: number; errand: Errand }
  | { do: "end"; id: number };

/** Why something failed, for people and for what the page does about it. */
export interface Failure {
  words: string;
  /** Of the loader's answer; none: no answer came. */
  status?: number;
  /**
   * As the loader named it; `link`: the page's own link is wrong; `unread`: messages that are not decoded;
   * `missing`: what the answer lacks;
   * `stuck`: the worker answers no more.
   */
  code?: string;
  /** With a 401: where to sign in, as the loader says: not to be followed unseen. */
  loginUrl?: string;
}

/** The newest message of a watch. */
export type Shown = { id: number; time: Nanos; bytes: number } & (
  | { as: "tree"; tree: Tree }
  | { as: "hex"; data: Uint8Array; why: string }
  | { as: "picture"; picture: ImageBitmap }
  | { as: "nothing"; why: string }
);

export interface Status {
  state: State;
  moment: Nanos;
  /** Of the last seek that it knows of. */
  serial: number;
  from: Nanos;
  until: Nanos;
  bytes: number;
  /** Why it failed; in other states, why it has to wait. */
  failure?: Failure;
  missing: readonly string[];
}

export type FromWorker =
  | { is: "frame"; status: Status; shown: Shown[]; gone: number[] }
  | { is: "series"; id: number; lines: Line[]; done: boolean; failure?: Failure }
  | { is: "logs"; id: number; lines: LogLine[]; left: number; done: boolean; failure?: Failure };

/** Says that the worker is not stuck. */
export type Pong = { is: "pong" };
