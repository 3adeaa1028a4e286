import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { Channel, Message } from "../src/player/messages";
import type { Frame } from "../src/player/player";
import type { FromWorker, Watch } from "../src/player/protocol";
import { Showing } from "../src/player/showing";

type Numbered = Frame & { serial: number };
type FrameTold = FromWorker & { is: "frame" };

const channel = (topic: string, messageEncoding = "json"): Channel => ({ topic, messageEncoding, schema: undefined });
const A = channel("/a");
const CAMERA = channel("/camera");

function message(channel: Channel, value: unknown, logTime = 1n): Message {
  return { channel, logTime, data: new TextEncoder().encode(JSON.stringify(value)) };
}

function frame(messages: Message[] | undefined, more: Partial<Numbered> = {}): Numbered {
  const newest = messages && new Map(messages.map((message) => [message.channel.topic, [message]]));
  return { state: "idle", moment: 1n, from: 0n, until: 2n, bytes: 0, error: undefined, missing: [], newest, serial: 0, ...more };
}

const tree: Watch = { id: 1, topic: "/a", as: "tree" };
const picture: Watch = { id: 2, topic: "/camera", as: "picture" };

let told: FrameTold[];
let transferred: Transferable[][];
let showing: Showing;

beforeEach(() => {
  told = [];
  transferred = [];
  showing = new Showing((message, transfer) => {
    told.push(message as FrameTold);
    transferred.push(transfer);
  });
  vi.stubGlobal("createImageBitmap", async (blob: Blob) => {
    if (blob.size === 1) throw new Error("it is no picture");
    return { bitmap: blob.type };
  });
});

afterEach(() => vi.unstubAllGlobals());

async function next(): Promise<FrameTold> {
  const count = told.length;
  await vi.waitFor(() => expect(told.length).toBeGreaterThan(count));
  return told.at(-1) as FrameTold;
}

test("only what changed is sent, and what is gone is named", async () => {
  showing.watch([tree, { ...tree, id: 3 }]);
  const first = message(A, { x: 1 });
  showing.show(frame([first]));
  expect((await next()).shown).toMatchObject([{ id: 1, as: "tree", time: 1n }, { id: 3 }]);
  showing.drawn();
  showing.show(frame([first], { moment: 2n }));
  expect(await next()).toMatchObject({ status: { moment: 2n }, shown: [], gone: [] });
  showing.drawn();
  // While seeking, what was shown stays.
  showing.show(frame(undefined, { state: "seeking" }));
  expect(await next()).toMatchObject({ status: { state: "seeking" }, shown: [], gone: [] });
  showing.drawn();
  showing.show(frame([]));
  expect(await next()).toMatchObject({ shown: [], gone: [1, 3] });
});

test("a page that has not drawn yet gets the newest frame next, and none between", async () => {
  showing.watch([tree]);
  showing.show(frame([message(A, { x: 1 })]));
  await next();
  for (let x = 2; x <= 9; x++) showing.show(frame([message(A, { x })], { moment: BigInt(x) }));
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(told).toHaveLength(1);
  showing.drawn();
  expect(await next()).toMatchObject({ status: { moment: 9n }, shown: [{ tree: { fields: [["x", 9]] } }] });
  expect(told).toHaveLength(2);
});

test("who closes a panel and opens it anew sees its message again", async () => {
  const only = message(A, { x: 1 });
  showing.watch([tree]);
  showing.show(frame([only]));
  await next();
  showing.watch([]);
  showing.watch([tree]);
  showing.drawn();
  showing.show(frame([only]));
  expect((await next()).shown).toHaveLength(1);
});

test("pictures are handed over; what is none says why", async () => {
  showing.watch([picture]);
  showing.show(frame([message(CAMERA, { format: "png", data: btoa("some bytes") })]));
  expect((await next()).shown).toEqual([
    { id: 2, time: 1n, bytes: 42, as: "picture", picture: { bitmap: "image/png" } },
  ]);
  expect(transferred).toEqual([[{ bitmap: "image/png" }]]);
  const others = [
    [{ format: "png", data: btoa("x") }, "it is no picture"],
    [{ x: 1 }, "there is no picture in this message"],
  ] as const;
  for (const [value, why] of others) {
    showing.drawn();
    showing.show(frame([message(CAMERA, value)]));
    expect((await next()).shown).toMatchObject([{ id: 2, as: "nothing", why }]);
  }
});

test("what cannot be decoded is bytes, with the reason", async () => {
  showing.watch([tree, { id: 4, topic: "/odd", as: "tree" }, { id: 5, topic: "/odd", as: "picture" }]);
  const broken: Message = { channel: A, logTime: 1n, data: new TextEncoder().encode("{") };
  const odd: Message = { channel: channel("/odd", "xml"), logTime: 1n, data: new Uint8Array(10_000) };
  showing.show(frame([broken, odd], { error: new Error("it broke off"), state: "failed" }));
  const { shown, status } = await next();
  expect(shown).toMatchObject([
    { id: 1, as: "hex", data: broken.data },
    { id: 4, as: "hex", bytes: 10_000, why: expect.stringContaining("xml") },
    { id: 5, as: "nothing", why: expect.stringContaining("xml") },
  ]);
  expect((shown[1] as { data: Uint8Array }).data).toHaveLength(4096);
  expect(status).toMatchObject({ state: "failed", failure: { words: "it broke off" } });
});

test("a frame says which seek it knows of, however late it is told", async () => {
  const settled = () => new Promise((resolve) => setTimeout(resolve));
  showing.show(frame(undefined, { moment: 1n, serial: 0 }));
  showing.show(frame(undefined, { moment: 7n, serial: 1 }));
  await settled();
  showing.drawn();
  await settled();
  const seen = told.map(({ status }) => [status.moment, status.serial]);
  expect(seen).toEqual([[1n, 0], [7n, 1]]);
  showing.drawn();
});
