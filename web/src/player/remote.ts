// The player as the page has it: the worker, behind plain calls.

import type { LoaderAddress } from "../api/loader";
import type { Nanos } from "../lib/nanos";
import type { LogLine } from "./logs";
import type { Errand, Failure, FromWorker, Shown, Status, ToWorker, Watch } from "./protocol";
import type { Line } from "./series";

export interface Listener {
  frame(status: Status, shown: Shown[], gone: number[]): void;
}

export interface Report {
  lines: Line[] | LogLine[];
  /** Lines of a log that are not among these. */
  left: number;
  done: boolean;
  failure: Failure | undefined;
}

export class RemotePlayer {
  private readonly worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  private readonly watches = new Map<number, Watch>();
  private readonly reports = new Map<number, (report: Report) => void>();
  private lastId = 0;
  private isToldOfWatches = true;

  constructor(listener: Listener) {
    this.worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.is === "frame") {
        listener.frame(data.status, data.shown, data.gone);
        requestAnimationFrame(() => this.tell({ do: "shown" }));
      } else {
        const { lines, done, failure } = data;
        const left = data.is === "logs" ? data.left : 0;
        this.reports.get(data.id)?.({ lines, left, done, failure });
      }
    };
  }

  close(): void {
    this.worker.terminate();
  }

  tell(message: ToWorker): void {
    this.worker.postMessage(message);
  }

  open(loader: LoaderAddress, range: { start: Nanos; end: Nanos }, moment: Nanos): void {
    this.tell({ do: "open", loader, ...range, moment });
  }

  /** Panels that open at once are told of together. */
  watch(topic: string, as: Watch["as"]): number {
    const id = ++this.lastId;
    this.watches.set(id, { id, topic, as });
    this.tellOfWatches();
    return id;
  }

  unwatch(id: number): void {
    this.watches.delete(id);
    this.tellOfWatches();
  }

  begin(errand: Errand, report: (report: Report) => void): number {
    const id = ++this.lastId;
    this.reports.set(id, report);
    this.tell({ do: "begin", id, errand });
    return id;
  }

  end(id: number): void {
    this.reports.delete(id);
    this.tell({ do: "end", id });
  }

  private tellOfWatches(): void {
    if (!this.isToldOfWatches) return;
    this.isToldOfWatches = false;
    queueMicrotask(() => {
      this.isToldOfWatches = true;
      this.tell({ do: "watch", watches: [...this.watches.values()] });
    });
  }
}
