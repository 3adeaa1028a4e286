import { expect, test } from "vitest";

import type { Frame } from "../src/player/player";
import type { FromWorker } from "../src/player/protocol";
import { Showing } from "../src/player/showing";

const frame = (moment: bigint): Frame => ({
  state: "idle",
  moment,
  from: 0n,
  until: 10n,
  bytes: 0,
  error: undefined,
  missing: [],
  newest: undefined,
});

test("a frame says which seek it knows of, however late it is told", async () => {
  const told: FromWorker[] = [];
  const showing = new Showing((message) => told.push(message));
  const settled = () => new Promise((resolve) => setTimeout(resolve));
  showing.show({ ...frame(1n), serial: 0 });
  showing.show({ ...frame(7n), serial: 1 });
  await settled();
  showing.drawn();
  await settled();
  const seen = told.map((message) => message.is === "frame" && [message.status.moment, message.status.serial]);
  expect(seen).toEqual([[1n, 0], [7n, 1]]);
  showing.drawn();
});
