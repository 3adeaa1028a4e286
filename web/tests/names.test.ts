// Names that are like the signs around them come through links, plots and paths as they are.

import { expect, test } from "vitest";

import { formatLink, joinField, type PageLink, type Panel, parseLink, splitField } from "../src/lib/link";
import { formatPath, numberAt, parsePath, type Step, stepInto } from "../src/player/path";

const PARTS = ["a", "b", " ", ".", "[", "]", '"', "'", "\\", "%", "%20", "+", "&", "=", "#", "/", "0", ":", "ä", "\n", "🚗"];

/** So many names of these parts, each time the same. */
function names(count: number): string[] {
  let state = 7;
  const next = (below: number) => (state = (state * 48271) % 2147483647) % below;
  const name = () => Array.from({ length: 1 + next(6) }, () => PARTS[next(PARTS.length)]).join("");
  return Array.from({ length: count }, name);
}

const LINK: PageLink = {
  query: "ds.recording=a",
  loader: undefined,
  at: undefined,
  start: undefined,
  end: undefined,
  topics: [],
  panels: undefined,
};

test("panels of any topics and fields come back from a link", () => {
  const [all, fields] = [names(300), names(300)];
  all.forEach((topic, i) => {
    const panels: Panel[] = [
      { kind: "raw", topic },
      { kind: "log", topics: [topic, `${topic}x`] },
      { kind: "plot", fields: [joinField(topic, formatPath([fields[i] ?? "", "x"]), all), fields[i] ?? ""] },
      { kind: "plot", fields: [] },
    ];
    const link = { ...LINK, topics: [topic], panels };
    expect(parseLink(formatLink(link))).toEqual(link);
  });
});

test("any path is read as it was written", () => {
  const all = names(600);
  for (let i = 0; i + 2 < all.length; i++) {
    const steps: Step[] = [all[i] ?? "", i, all[i + 1] ?? "", all[i + 2] ?? ""];
    expect(parsePath(formatPath(steps))).toEqual(steps);
    expect(numberAt({ [steps[0] as string]: 7 }, parsePath(stepInto("", steps[0] as Step)) ?? [])).toBe(7);
  }
  expect(formatPath(["a b", "c.d", "x", 0, ""])).toBe('["a b"]["c.d"].x[0][""]');
  for (const wrong of ["", "a b", "a.", ".a", "a..b", "[x]", '["a]', '["\\x"]', "a]b"]) {
    expect(parsePath(wrong), wrong).toBeUndefined();
  }
});

test("a field of any topic and name is found again", () => {
  // A topic that is another's name and quoted steps would be two things at once.
  const topics = [...names(200).map((name) => `/${name.replace(/["[\]]/g, "")}`), "/a", "/a.b", "/a.b.c"];
  for (const topic of topics) {
    for (const name of [...names(20), "b", "b.c", "b c"]) {
      const path = formatPath([name, "c"]);
      const split = splitField(joinField(topic, path, topics), topics);
      expect(split?.topic).toBe(topic);
      expect(parsePath(split?.path ?? "")).toEqual([name, "c"]);
    }
  }
});

test("parameters whose names are encoded are kept as they are written", () => {
  const link = parseLink("?ds%2Erecording=x%20y&%64s.b=1&ds%2EdataLoaderUrl=https://there&at=5");
  expect(link.query).toBe("ds%2Erecording=x%20y&%64s.b=1");
  expect(link.loader).toBe("https://there");
});
