import { expect, test } from "vitest";

import type { Message } from "../src/player/messages";
import type { Unit } from "../src/player/video";
import { type Decoder, type Decoders, Film } from "../src/player/video/film";
import { Screen } from "../src/player/video/screen";
import { VIDEO, videoMessage } from "./frames";

/** Frame `n` of a video with a key frame at every tenth. */
function message(n: number, level = 10): Message {
  const key = [0, 0, 1, 0x67, 0x4d, 0x40, level, 0, 0, 1, 0x65, n];
  const frame = Uint8Array.from(n % 10 === 0 ? key : [0, 0, 1, 0x41, n]);
  return { ...videoMessage(n, frame), isDelta: n % 10 !== 0 };
}

const VIDEO_FRAMES = Array.from({ length: 40 }, (_, n) => message(n));
const run = (n: number) => VIDEO_FRAMES.slice(n - (n % 10), n + 1);

/** A picture that knows what it is made of. */
class Made {
  isOpen = true;

  constructor(
    private readonly fake: Fake,
    readonly of: readonly number[],
  ) {
    fake.open++;
  }

  close(): void {
    expect(this.isOpen).toBe(true);
    this.isOpen = false;
    this.fake.open--;
  }
}

/** Decoders as browsers have them: what comes out comes later, and a key frame has to be first. */
class Fake implements Decoders<Made> {
  open = 0;
  decoders = 0;
  did: string[] = [];
  unsupported = false;
  /** So many pictures are held back until more comes. */
  holdsBack = 0;
  /** Frames that it fails at, and frames that it makes nothing of. */
  readonly fails = new Set<number>();
  readonly drops = new Set<number>();
  fail: ((error: unknown) => void) | undefined;

  check(format: string, codec: string): Promise<void> {
    return this.unsupported ? Promise.reject(new Error(`no ${format} (${codec})`)) : Promise.resolve();
  }

  start(picture: (made: Made, id: number) => void, failed: (error: unknown) => void): Decoder {
    this.decoders++;
    let state: "unconfigured" | "needs key" | "decoding" | "closed" = "unconfigured";
    let of: number[] = [];
    let held: (() => void)[] = [];
    let queue = Promise.resolve();
    let waiting = 0;
    const out = (most: number) => {
      while (held.length > most) held.shift()?.();
    };
    const fail = (error: unknown) => {
      if (state === "closed") return;
      state = "closed";
      failed(error);
    };
    this.fail = fail;
    return {
      get waiting() {
        return waiting;
      },
      configure: (codec) => {
        this.did.push(codec);
        state = "needs key";
      },
      decode: ({ data, isKey }: Unit, id) => {
        if (state !== "decoding" && (state !== "needs key" || !isKey)) throw new Error(`a delta: ${state}`);
        state = "decoding";
        const n = data.at(-1) ?? -1;
        this.did.push(String(n));
        of = isKey ? [n] : [...of, n];
        const made = [...of];
        waiting++;
        queue = queue.then(() => {
          waiting--;
          if (state === "closed") return;
          if (this.fails.has(n)) return fail(new Error("bad data"));
          if (!this.drops.has(n)) held.push(() => picture(new Made(this, made), id));
          out(this.holdsBack);
        });
      },
      flush: async () => {
        this.did.push("flush");
        await queue;
        if (state === "closed") throw new Error("closed");
        out(0);
        state = "needs key";
      },
      reset: () => {
        this.did.push("reset");
        held = [];
        state = "unconfigured";
      },
      close: () => {
        expect(state).not.toBe("closed");
        state = "closed";
        this.decoders--;
      },
    };
  }

  pause(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, 0));
  }

  /** What was done since this was asked. */
  take(): string {
    return this.did.splice(0).join(" ");
  }
}

/** Asks for the picture, looks at what it is made of and closes it. */
async function shown(film: Film<Made>, n: number): Promise<readonly number[]> {
  const picture = await film.pictureOf(run(n));
  const { of } = picture;
  picture.close();
  return of;
}

test("a decoder is given all from the key frame on, and then what is new", async () => {
  const fake = new Fake();
  const film = new Film(fake);
  expect(await shown(film, 13)).toEqual([10, 11, 12, 13]);
  expect(fake.take()).toBe("avc1.4d400a 10 11 12 13");
  expect(await shown(film, 14)).toEqual([10, 11, 12, 13, 14]);
  expect(await shown(film, 17)).toEqual([10, 11, 12, 13, 14, 15, 16, 17]);
  expect(fake.take()).toBe("14 15 16 17");
  // On to another key frame: what lies between is left out.
  expect(await shown(film, 31)).toEqual([30, 31]);
  expect(fake.take()).toBe("30 31");
  // Back, within it and before it.
  expect(await shown(film, 30)).toEqual([30]);
  expect(fake.take()).toBe("reset avc1.4d400a 30");
  expect(await shown(film, 12)).toEqual([10, 11, 12]);
  expect(fake.take()).toBe("reset avc1.4d400a 10 11 12");
  expect(fake).toMatchObject({ open: 0, decoders: 1 });
  film.close();
  expect(fake.decoders).toBe(0);
});

test("a picture that the decoder holds back is flushed, and the next begins at the key frame", async () => {
  const fake = new Fake();
  fake.holdsBack = 2;
  const film = new Film(fake);
  expect(await shown(film, 11)).toEqual([10, 11]);
  expect(await shown(film, 12)).toEqual([10, 11, 12]);
  expect(fake.take()).toBe("avc1.4d400a 10 11 flush reset avc1.4d400a 10 11 12 flush");
  expect(fake.open).toBe(0);
});

test("another codec is configured", async () => {
  const fake = new Fake();
  const film = new Film(fake);
  await shown(film, 5);
  (await film.pictureOf([message(10, 0x1f)])).close();
  expect(fake.take()).toMatch(/ avc1\.4d401f 10$/);
});

test("a damaged frame says so, and the video goes on at the next key frame", async () => {
  const fake = new Fake();
  fake.fails.add(14);
  const film = new Film(fake);
  expect(await shown(film, 13)).toEqual([10, 11, 12, 13]);
  await expect(film.pictureOf(run(15))).rejects.toThrow("it is damaged (bad data)");
  fake.take();
  await expect(film.pictureOf(run(16))).rejects.toThrow("it is damaged");
  expect(fake.take()).toBe("");
  expect(await shown(film, 13)).toEqual([10, 11, 12, 13]);
  expect(await shown(film, 21)).toEqual([20, 21]);
  expect(fake.open).toBe(0);
});

test("a decoder that the browser takes away is replaced", async () => {
  const fake = new Fake();
  const film = new Film(fake);
  await shown(film, 13);
  fake.fail?.(new Error("reclaimed"));
  fake.take();
  expect(await shown(film, 14)).toEqual([10, 11, 12, 13, 14]);
  // And while it decodes.
  const picture = film.pictureOf(run(15));
  await Promise.resolve();
  fake.fail?.(new Error("reclaimed"));
  expect((await picture).of).toHaveLength(6);
});

test("failures are said in words", async () => {
  const fake = new Fake();
  const film = new Film(fake);
  await expect(film.pictureOf(run(14).slice(1))).rejects.toThrow("no key frame lies before this moment");
  fake.drops.add(12);
  await expect(film.pictureOf(run(12))).rejects.toThrow("made no picture");
  expect(await shown(film, 13)).toHaveLength(4);
  const bare = { ...videoMessage(0, Uint8Array.of(0, 0, 1, 0x65)), isDelta: false };
  await expect(film.pictureOf([bare])).rejects.toThrow("lacks the parameter sets that H.264 begins with");
  await expect(film.pictureOf([{ channel: VIDEO, logTime: 0n, data: new Uint8Array(1) }])).rejects.toThrow();
  fake.unsupported = true;
  await expect(film.pictureOf(run(25))).rejects.toThrow("no H.264 (avc1.4d400a)");
  expect(fake.open).toBe(0);
});

test("a screen shows the newest that was asked for, and closes what it does not show", async () => {
  const fake = new Fake();
  const seen: (number | string)[] = [];
  const develop = (made: Made) => Promise.resolve(new Made(fake, made.of));
  const screen = new Screen(fake, develop, ({ logTime }, made) => {
    seen.push(made instanceof Error ? made.message : Number(logTime / 100_000_000n));
    if (made instanceof Made) made.close();
  });
  for (const n of [3, 4, 5, 16]) void screen.ask(run(n));
  await screen.ask(run(17));
  expect(seen).toEqual([3, 17]);
  expect(fake.take()).toBe("avc1.4d400a 0 1 2 3 10 11 12 13 14 15 16 17");
  const done = screen.ask(run(18));
  screen.forget();
  await done;
  const closed = screen.ask(run(19));
  screen.close();
  await closed;
  expect(seen).toEqual([3, 17]);
  expect(fake).toMatchObject({ open: 0, decoders: 0 });
});
