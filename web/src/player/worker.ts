// The worker: asks the loader, reads, decodes, and keeps the player's clock.

import { Loader, type Selection } from "../api/loader";
import { wait } from "../lib/wait";
import { Errands } from "./errands";
import { Channels, readMessages } from "./messages";
import { Player } from "./player";
import type { FromWorker, Pong, ToWorker } from "./protocol";
import { Showing } from "./showing";
import { withDeltas } from "./video";

// Its `self` is typed as a window's; only this is used of it.
const scope = self as unknown as {
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  postMessage(message: FromWorker | Pong, transfer?: Transferable[]): void;
};

const FRAME_MS = 16;

const tell = (message: FromWorker, transfer: Transferable[] = []) => scope.postMessage(message, transfer);

// The last seek that was asked for.
let seeks = 0;
let open: { player: Player; showing: Showing; errands: Errands } | undefined;

function start(asked: ToWorker & { do: "open" }): NonNullable<typeof open> {
  const loader = new Loader(asked.loader);
  const channels = new Channels();
  const showing = new Showing(tell);
  const errands = new Errands(loader, channels, tell);
  errands.partial = asked.partial;
  const streams = {
    async *open(selection: Selection, signal: AbortSignal) {
      const stream = await loader.stream({ ...selection, partial: errands.partial }, signal);
      yield* withDeltas(readMessages(stream, channels));
    },
    wait,
  };
  const player = new Player(asked, streams, performance, (frame) => showing.show({ ...frame, serial: seeks }));
  player.seek(asked.moment);
  setInterval(() => player.wantsTicks && player.tick(), FRAME_MS);
  return { player, showing, errands };
}

scope.onmessage = ({ data: asked }) => {
  if (asked.do === "open") {
    open = start(asked);
    return;
  }
  if (open === undefined) return;
  const { player, showing, errands } = open;
  switch (asked.do) {
    case "range":
      return player.setRange(asked);
    case "watch":
      showing.watch(asked.watches);
      return player.watch(asked.watches.map(({ topic }) => topic));
    case "seek":
      seeks = asked.serial;
      return player.seek(asked.time);
    case "play":
      return player.play();
    case "pause":
      return player.pause();
    case "retry":
      errands.partial = asked.partial;
      return player.retry();
    case "ping":
      return scope.postMessage({ is: "pong" });
    case "shown":
      return showing.drawn();
    case "step":
      return player.step(asked.direction);
    case "speed":
      return player.setSpeed(asked.speed);
    case "loop":
      return player.setLoop(asked.loop);
    case "begin":
      return errands.begin(asked.id, asked.errand);
    case "end":
      return errands.end(asked.id);
  }
};

// It is there: from here on it is asked whether it is stuck.
scope.postMessage({ is: "pong" });
