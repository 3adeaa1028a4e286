// What an answer lacks, as the loader's closing metadata record names it (docs/API.md, "GET /v1/stream").

/** The same thing has the same code, source and chunk in every answer that lacks it. */
export interface Missing {
  readonly code: string;
  readonly source: string;
  readonly chunk: string | undefined;
  /** For people. */
  readonly words: string;
}

/** In words, each once; the newest of what is the same. */
export class WhatIsMissing {
  private readonly all = new Map<string, string>();

  add(missing: readonly Missing[]): void {
    for (const { code, source, chunk, words } of missing) {
      this.all.set(JSON.stringify([code, source, chunk, code === "" && words]), words);
    }
  }

  get words(): string[] {
    return [...this.all.values()];
  }
}

/** What one value of the record says; what is no JSON is said as it is. */
export function missingOf(json: string): Missing {
  const said = parsed(json);
  if (said === undefined) return { code: "", source: "", chunk: undefined, words: json };
  const { code, source, chunk } = said;
  const text = (value: unknown) => (value === undefined ? "" : String(value));
  return {
    code: text(code),
    source: text(source),
    chunk: chunk === undefined ? undefined : text(chunk),
    words: inWords(text(code), text(source) || "a source", Number(said.count ?? 1), said),
  };
}

type Said = Partial<Record<"code" | "source" | "chunk" | "count" | "message", unknown>>;

function parsed(json: string): Said | undefined {
  try {
    const value = JSON.parse(json) as unknown;
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function inWords(code: string, source: string, count: number, { chunk, message }: Said): string {
  const why = message === undefined ? "" : `: ${String(message)}`;
  switch (code) {
    case "damaged-chunk":
      if (chunk !== undefined) return `Chunk ${String(chunk)} of ${source} is damaged and was left out`;
      return count === 1
        ? `A damaged chunk of ${source} was left out`
        : `${count} damaged chunks of ${source} were left out`;
    case "truncated-file":
      return `${source} ends early: what came after is not there`;
    case "late-messages":
      return count === 1
        ? `A message of ${source} came too late to be put in order, and was left out`
        : `${count} messages of ${source} came too late to be put in order, and were left out`;
    case "source-failed":
      return `${source} failed and was left out${why}`;
    default:
      return `${code}: ${source}${count === 1 ? "" : ` (${count})`}${why}`;
  }
}
