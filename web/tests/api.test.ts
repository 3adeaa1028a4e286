import { readFile } from "node:fs/promises";

import { afterEach, expect, test, vi } from "vitest";

// @ts-expect-error a script without types
import { TYPES, types } from "../api.mjs";
import { Loader } from "../src/api/loader";

afterEach(() => void vi.unstubAllGlobals());

test("the types of the API are those of its document", async () => {
  const written = await readFile(TYPES as URL, "utf8");
  expect(written === (await types()), "run `npm run api` in web/").toBe(true);
});

test("manifest parameters go on as they are, in their order", () => {
  const query = "ds.recording=a%20b&ds.x=1&ds.recording=c";
  const loader = new Loader({ base: "https://example.com/loader/", credentials: "omit", query });
  const url = loader.streamUrl({ topics: ["/a", "/b c"], start: 5n, replayPolicy: "lastPerChannel" });
  expect(url.href).toBe(
    `https://example.com/loader/v1/stream?${query}` +
      "&topics=%2Fa&topics=%2Fb+c&start=5&replayPolicy=lastPerChannel&compression=lz4",
  );
});

test("a partial answer is asked for by address and, where that is too long, by a body", async () => {
  const loader = new Loader({ base: "https://example.com/", credentials: "omit", query: "ds.a=1" });
  expect(loader.streamUrl({ topics: ["/a"], partial: true }).search).toContain("&partial=true");
  expect(loader.streamUrl({ topics: ["/a"], partial: false }).search).not.toContain("partial");
  const asked: unknown[] = [];
  vi.stubGlobal("fetch", async (_: URL, { body }: RequestInit) => {
    asked.push(JSON.parse(String(body)));
    return new Response("");
  });
  const topics = Array.from({ length: 1000 }, (_, i) => `/topic/${i}`);
  for (const partial of [true, false]) await loader.stream({ topics, partial }, AbortSignal.timeout(1000));
  const body = { manifestParams: { a: ["1"] }, topics, compression: "lz4" };
  expect(asked).toEqual([{ ...body, partial: true }, body]);
});

test("what answers with something else is no loader", async () => {
  const loader = new Loader({ base: "https://example.com/", credentials: "omit", query: "ds.a=1" });
  for (const body of ['{"hello": "world"}', "null", "<html>", '{"topics": [], "sources": {}}']) {
    vi.stubGlobal("fetch", async () => new Response(body));
    await expect(loader.recording(), body).rejects.toMatchObject({ code: "no-loader", status: 200 });
  }
  vi.stubGlobal("fetch", async () => new Response('{"topics": [], "sources": []}'));
  expect(await loader.recording()).toEqual({ topics: [], sources: [] });
});
