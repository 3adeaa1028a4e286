// A loader, and how it is asked: with the session's cookie, which is refreshed when its token ran out.
//
// Works in the page and in its worker.

import type { components } from "./schema";

type Schemas = components["schemas"];
export type Recording = Schemas["Recording"];
export type Topic = Schemas["Topic"];
export type Source = Schemas["Source"];
export type RecordingEvent = Schemas["Event"];
type NewLinks = Schemas["NewLinks"];
type Problem = Schemas["Problem"];

/** What `/v1/stream` and `POST /v1/links` are asked for. */
export interface Selection {
  topics: readonly string[];
  start?: bigint;
  end?: bigint;
  replayPolicy?: "none" | "lastPerChannel" | "lastPerChannelInRange";
  /** Of a stream: leaves out sources that fail, and names them at the end. */
  partial?: boolean;
}

/** The loader answered, and not with what was asked for. */
export class Refused extends Error {
  override name = "Refused";

  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly retryAfterSeconds?: number,
    /** Where to sign in, as the loader says: not to be followed unseen. */
    readonly loginUrl?: string,
  ) {
    super(detail);
  }
}

/** No answer came. Browsers say no more than that. */
export class Unreachable extends Error {
  override name = "Unreachable";

  constructor() {
    super("the loader cannot be reached, or does not let pages of this origin ask");
  }
}

/** How to reach a loader; can be posted to a worker. */
export interface LoaderAddress {
  /** Ends with a slash. */
  base: string;
  /** Loaders that everybody may ask refuse pages elsewhere that send cookies. */
  credentials: "include" | "omit";
  /** The manifest parameters as the page's link has them: `ds.recording=…&ds.…`. */
  query: string;
}

// Proxies and servers take at least this.
const LONGEST_URL = 6000;

export class Loader {
  constructor(readonly address: LoaderAddress) {}

  url(path: string): URL {
    return new URL(path.replace(/^\//, ""), this.address.base);
  }

  /** The address of a path of the API about this recording. */
  about(path: string, more: URLSearchParams = new URLSearchParams()): URL {
    const url = this.url(path);
    url.search = [this.address.query, more.toString()].filter((part) => part !== "").join("&");
    return url;
  }

  async recording(signal?: AbortSignal): Promise<Recording> {
    const answer = await this.ask(this.about("v1/recording"), signal ? { signal } : {});
    const recording = (await answer.json().catch((error: unknown) => {
      if (!(error instanceof SyntaxError)) throw error;
    })) as Recording | undefined;
    if (!Array.isArray(recording?.topics) || !Array.isArray(recording.sources)) {
      const words = `${this.address.base} answers, but with no recording: there is something else than a loader.`;
      throw new Refused(answer.status, "no-loader", words);
    }
    return recording;
  }

  async links(selection: Selection): Promise<NewLinks> {
    const answer = await this.post("v1/links", this.body(selection));
    return (await answer.json()) as NewLinks;
  }

  /** The messages that are asked for, as an MCAP that needs nothing but lz4. */
  async stream(selection: Selection, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    const url = this.streamUrl(selection);
    const answer =
      url.href.length <= LONGEST_URL
        ? await this.ask(url, { signal })
        : await this.post("v1/stream", this.streamBody(selection), signal);
    if (answer.body === null) throw new Error("the answer has no body");
    return answer.body;
  }

  streamUrl({ topics, start, end, replayPolicy, partial }: Selection): URL {
    const asked = new URLSearchParams(topics.map((topic) => ["topics", topic]));
    if (start !== undefined) asked.set("start", String(start));
    if (end !== undefined) asked.set("end", String(end));
    if (replayPolicy !== undefined) asked.set("replayPolicy", replayPolicy);
    if (partial === true) asked.set("partial", "true");
    asked.set("compression", "lz4");
    return this.about("v1/stream", asked);
  }

  /** Answers that are not good are thrown as {@link Refused}. */
  async ask(url: URL, options: RequestInit = {}): Promise<Response> {
    const { credentials } = this.address;
    const ask = () => reach(url, { credentials, ...options });
    let answer = await ask();
    if (answer.status === 401 && (await problem(answer)).code === "token-expired") {
      await this.refresh();
      answer = await ask();
    }
    if (answer.ok) return answer;
    throw await refused(answer);
  }

  post(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
    const headers = { "content-type": "application/json" };
    const options: RequestInit = { method: "POST", headers, body: JSON.stringify(body) };
    return this.ask(this.url(path), signal ? { ...options, signal } : options);
  }

  // One at a time over all tabs, and never aborted: a refresh token is good once.
  private async refresh(): Promise<void> {
    const { credentials } = this.address;
    const renew = () => reach(this.url("v1/session/refresh"), { method: "POST", credentials });
    const answer = await navigator.locks.request("remote-data-loader-session", renew);
    if (answer.ok) return;
    const why = await refused(answer);
    if (why.status !== 401) throw why;
    throw new Refused(401, "token-expired", "Sign in to go on.", undefined, why.loginUrl);
  }

  private streamBody(selection: Selection): object {
    const { partial } = selection;
    return { ...this.body(selection), compression: "lz4", ...(partial === true && { partial }) };
  }

  // Nanoseconds are too long for JSON's numbers in JavaScript: as text.
  private body({ topics, start, end, replayPolicy }: Selection): object {
    const parameters = new Map<string, string[]>();
    for (const [name, value] of new URLSearchParams(this.address.query)) {
      const key = name.replace(/^ds\./, "");
      parameters.set(key, [...(parameters.get(key) ?? []), value]);
    }
    return {
      manifestParams: Object.fromEntries(parameters),
      ...(topics.length > 0 && { topics }),
      ...(start !== undefined && { start: String(start) }),
      ...(end !== undefined && { end: String(end) }),
      ...(replayPolicy !== undefined && { replayPolicy }),
    };
  }
}

async function reach(url: URL, options: RequestInit): Promise<Response> {
  try {
    return await fetch(url, options);
  } catch (error) {
    throw error instanceof TypeError ? new Unreachable() : error;
  }
}

async function problem(answer: Response): Promise<Partial<Problem>> {
  return (await answer.clone().json().catch(() => ({}))) as Partial<Problem>;
}

async function refused(answer: Response): Promise<Refused> {
  const { code, detail, title, loginUrl } = await problem(answer);
  const seconds = Number(answer.headers.get("retry-after") ?? NaN);
  const words = detail ?? title ?? `the loader answered ${answer.status}`;
  const wait = Number.isFinite(seconds) ? seconds : undefined;
  return new Refused(answer.status, code ?? "unknown", words, wait, loginUrl ?? undefined);
}
