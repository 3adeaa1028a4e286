// The player as the page has it: the worker, behind plain calls.

import type { LoaderAddress } from "../api/loader";
import type { Nanos } from "../lib/nanos";
import type { LogLine } from "./logs";
import type { Errand, Failure, FromWorker, Pong, Shown, Status, ToWorker, Watch } from "./protocol";
import type { Range } from "./player";
import type { Line } from "./series";

interface Listener {
  frame(status: Status, shown: Shown[], gone: number[]): void;
}

export interface Report {
  lines: Line[] | LogLine[];
  /** Lines of a log that are not among these. */
  left: number;
  done: boolean;
  failure: Failure | undefined;
}

// What a worker has to know that is started again.
const KEPT: ReadonlySet<ToWorker["do"]> = new Set(["open", "range", "seek", "watch", "speed", "loop"]);
const PING_MS = 1000;
// So many pings later it is taken for stuck: some message may take forever to decode.
const MOST_UNANSWERED = 5;

export class RemotePlayer {
  private worker = this.started();
  private readonly kept = new Map<ToWorker["do"], ToWorker>();
  private status: Status | undefined;
  /** It may still be on its way here. */
  private isThere = false;
  private isAsked = false;
  private unanswered = 0;
  private readonly timer = setInterval(() => this.ping(), PING_MS);
  private readonly watches = new Map<number, Watch>();
  private readonly reports = new Map<number, (report: Report) => void>();
  private lastId = 0;
  private isToldOfWatches = true;

  constructor(private readonly listener: Listener) {}

  close(): void {
    clearInterval(this.timer);
    this.worker.terminate();
  }

  tell(message: ToWorker): void {
    if (KEPT.has(message.do)) this.kept.set(message.do, message);
    this.isAsked = true;
    this.worker.postMessage(message);
  }

  /**
   * Reads on from the moment; a worker that is stuck is ended, and errands have to be begun anew. Partial:
   * from now on without sources that fail.
   */
  retry(moment: Nanos, partial: boolean): void {
    if (this.unanswered < MOST_UNANSWERED) return this.tell({ do: "retry", partial });
    this.worker.terminate();
    this.unanswered = 0;
    this.isThere = false;
    this.worker = this.started();
    for (const message of this.kept.values()) {
      if (message.do === "open") this.tell({ ...message, moment, partial });
      else this.tell(message.do === "seek" ? { ...message, time: moment } : message);
    }
  }

  private started(): Worker {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<FromWorker | Pong>) => {
      const wasStuck = this.unanswered >= MOST_UNANSWERED;
      this.unanswered = 0;
      this.isThere = true;
      if (data.is === "frame") {
        this.status = data.status;
        this.listener.frame(data.status, data.shown, data.gone);
        requestAnimationFrame(() => this.tell({ do: "shown" }));
      } else if (data.is !== "pong") {
        const { lines, done, failure } = data;
        const left = data.is === "logs" ? data.left : 0;
        this.reports.get(data.id)?.({ lines, left, done, failure });
      }
      if (wasStuck && this.status !== undefined) this.listener.frame(this.status, [], []);
    };
    return worker;
  }

  private ping(): void {
    if (!this.isThere || this.status === undefined || (!this.isAsked && this.unanswered === 0)) return;
    this.isAsked = false;
    if (this.unanswered++ === 0) this.worker.postMessage({ do: "ping" } satisfies ToWorker);
    if (this.unanswered !== MOST_UNANSWERED) return;
    const words = "A message takes very long to decode. Close its panel, or go elsewhere, before you try again.";
    this.listener.frame({ ...this.status, state: "failed", failure: { words, code: "stuck" } }, [], []);
  }

  open(loader: LoaderAddress, range: Range, moment: Nanos): void {
    this.status = { state: "seeking", moment, serial: 0, from: moment, until: moment, bytes: 0, missing: [] };
    this.tell({ do: "open", loader, ...range, moment, partial: false });
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
