import { expect, test } from "vitest";

import { formatLink, loaderBase, ofLoader, parseLink, splitField } from "../src/lib/link";

const SEARCH =
  "?ds=remote-data-loader&ds.recording=a%20b&ds.x=1&ds.x=%2F&at=2026-01-31T09:30:00.5Z" +
  "&topics=/imu&topics=/tf&panel=image:/camera&panel=plot:/odom.pose.x+/imu.a[0]&panel=log:/log";

test("a link says the same after it was read", () => {
  const link = parseLink(SEARCH);
  expect(link.query).toBe("ds.recording=a%20b&ds.x=1&ds.x=%2F");
  expect(link.panels).toEqual([
    { kind: "image", topic: "/camera" },
    { kind: "plot", fields: ["/odom.pose.x", "/imu.a[0]"] },
    { kind: "log", topics: ["/log"] },
  ]);
  expect(parseLink(formatLink(link))).toEqual(link);
  const without = parseLink(formatLink({ ...link, panels: [] }));
  expect(without.panels).toEqual([]);
  expect(parseLink("?ds.recording=a").panels).toBeUndefined();
});

test("another loader is known by its address", () => {
  const base = (loader: string) =>
    loaderBase(parseLink(`?ds.dataLoaderUrl=${encodeURIComponent(loader)}`), "https://here/x/view?q");
  expect(base("https://there/loader")).toBe("https://there/loader/");
  expect(base("http://there:80//")).toBe("http://there/");
  expect(base("javascript:alert(1)")).toBeUndefined();
  expect(base("there")).toBeUndefined();
  expect(loaderBase(parseLink(""), "https://here/x/view?ds.a=1")).toBe("https://here/x/");
  const link = parseLink("?ds.recording=a&ds.dataLoaderUrl=https://there");
  expect(link.query).toBe("ds.recording=a");
  expect(parseLink(formatLink(link))).toEqual(link);
});

test("a loader sends people to itself alone", () => {
  const of = (address: string) => ofLoader(address, "https://loader/x/")?.href;
  expect(of("/login")).toBe("https://loader/login");
  expect(of("https://loader/x/login?a")).toBe("https://loader/x/login?a");
  for (const bad of ["https://evil/login", "//evil/login", "javascript:alert(1)", "http://loader/"]) {
    expect(of(bad)).toBeUndefined();
  }
});

test("fields are split at the longest topic", () => {
  const topics = ["/a", "/a.b", "/list"];
  expect(splitField("/a.b.c", topics)).toEqual({ topic: "/a.b", path: "c" });
  expect(splitField("/a.x", topics)).toEqual({ topic: "/a", path: "x" });
  expect(splitField("/list[3].x", topics)).toEqual({ topic: "/list", path: "[3].x" });
  expect(splitField("/nothing.x", topics)).toBeUndefined();
});
