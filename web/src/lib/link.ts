// The page's link: which recording, from which loader, and what is seen of it.
//
// `ds=remote-data-loader`, `ds.<name>=<value>` (the manifest's parameters, kept as they are written),
// `ds.dataLoaderUrl` (another loader); `at`, the moment; `start`, `end`, `topics`, the selection;
// `panel`, one for each that is open: `raw:/odom`, `image:/camera`, `plot:/odom.pose.x /imu.a.z`, `log:/log`;
// in each name a space is `%20` and a percent sign `%25`.

import { formatNanos, type Nanos, parseNanos } from "./nanos";

export type Panel =
  | { kind: "raw" | "image"; topic: string }
  | { kind: "plot"; fields: string[] }
  | { kind: "log"; topics: string[] };

export interface PageLink {
  /** `ds.recording=…&…`, without what is not the manifest's. */
  query: string;
  loader: string | undefined;
  at: Nanos | undefined;
  start: Nanos | undefined;
  end: Nanos | undefined;
  topics: string[];
  /** Undefined: the link does not say. */
  panels: Panel[] | undefined;
}

const LOADER = "ds.dataLoaderUrl";

export function parseLink(search: string): PageLink {
  const parameters = new URLSearchParams(search);
  const time = (name: string) => parseNanos(parameters.get(name) ?? "");
  const panels = parameters.getAll("panel");
  return {
    query: search
      .replace(/^\?/, "")
      .split("&")
      .filter((part) => {
        const [name = ""] = new URLSearchParams(part).keys();
        return name.startsWith("ds.") && name !== LOADER;
      })
      .join("&"),
    loader: parameters.get(LOADER) ?? undefined,
    at: time("at"),
    start: time("start"),
    end: time("end"),
    topics: parameters.getAll("topics"),
    panels: panels.length > 0 ? panels.flatMap(parsePanel) : undefined,
  };
}

export function formatLink(link: PageLink): string {
  const own = new URLSearchParams();
  if (link.loader !== undefined) own.set(LOADER, link.loader);
  const times = { at: link.at, start: link.start, end: link.end };
  for (const [name, time] of Object.entries(times)) {
    if (time !== undefined) own.set(name, formatNanos(time));
  }
  link.topics.forEach((topic) => own.append("topics", topic));
  const panels = link.panels?.map(formatPanel);
  // One that says nothing says that none is open.
  (panels?.length === 0 ? ["none"] : (panels ?? [])).forEach((panel) => own.append("panel", panel));
  // Legible, as these are: none of them ends a value of a query.
  const text = own.toString().replace(/%2F/g, "/").replace(/%3A/g, ":");
  return `?${["ds=remote-data-loader", link.query, text].filter((part) => part !== "").join("&")}`;
}

function parsePanel(text: string): Panel[] {
  const [, kind, rest = ""] = /^(\w+):(.*)$/s.exec(text) ?? [];
  const names = rest.split(" ").filter((name) => name !== "").map(unescaped);
  switch (kind) {
    case "raw":
    case "image":
      return rest === "" ? [] : [{ kind, topic: unescaped(rest) }];
    case "plot":
      return [{ kind, fields: names }];
    case "log":
      return names.length === 0 ? [] : [{ kind, topics: names }];
    default:
      return [];
  }
}

export function formatPanel(panel: Panel): string {
  switch (panel.kind) {
    case "plot":
      return `plot:${panel.fields.map(escaped).join(" ")}`;
    case "log":
      return `log:${panel.topics.map(escaped).join(" ")}`;
    default:
      return `${panel.kind}:${escaped(panel.topic)}`;
  }
}

function escaped(name: string): string {
  return name.replace(/[% ]/g, encodeURIComponent);
}

function unescaped(name: string): string {
  return name.replace(/%20|%25/g, decodeURIComponent);
}

/** The topic and the path of `/odom.pose.position.x`; topics may have dots, too. */
export function splitField(
  field: string,
  topics: readonly string[],
): { topic: string; path: string } | undefined {
  const topic = topics
    .filter((name) => field.startsWith(name) && /^[.[]/.test(field.slice(name.length)))
    .sort((a, b) => b.length - a.length)[0];
  if (topic === undefined) return undefined;
  return { topic, path: field.slice(topic.length).replace(/^\./, "") };
}

/** What is split into this topic and path again, though others of these topics begin like it. */
export function joinField(topic: string, path: string, topics: readonly string[]): string {
  const field = path.startsWith("[") ? topic + path : `${topic}.${path}`;
  if ((splitField(field, topics)?.topic ?? topic) === topic) return field;
  return topic + path.replace(/^[^.[]+/, (name) => `[${JSON.stringify(name)}]`);
}

/** The base of the loader's API, with a slash at the end; undefined: that is no loader's address. */
export function loaderBase(link: PageLink, page: string): string | undefined {
  if (link.loader === undefined) return new URL(".", page).href;
  if (!URL.canParse(link.loader)) return undefined;
  const url = new URL(link.loader);
  if (url.protocol !== "https:" && url.protocol !== "http:") return undefined;
  return `${url.origin}${url.pathname.replace(/\/*$/, "/")}`;
}

/** What a loader says of itself is followed only if it leads to that loader, over http. */
export function ofLoader(address: string, base: string): URL | undefined {
  if (!URL.canParse(address, base)) return undefined;
  const url = new URL(address, base);
  const isWeb = url.protocol === "https:" || url.protocol === "http:";
  return isWeb && url.origin === new URL(base).origin ? url : undefined;
}
