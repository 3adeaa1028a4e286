// @ts-expect-error a package without types
import lz4 from "lz4js";
import { expect, test } from "vitest";

import { decompressLz4 } from "../src/player/lz4";

/** Text that has matches near and far, short and overlapping; and noise. */
function sample(length: number): Uint8Array {
  let state = 1;
  const next = () => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 16;
  const data = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const run = Math.min(1 + (next() % 300), length - at);
    const from = at > 0 ? next() % at : 0;
    const kind = next() % 3;
    for (let i = 0; i < run; i++) {
      data[at + i] = kind === 0 ? next() : kind === 1 ? 7 : (data[from + i] as number);
    }
    at += run;
  }
  return data;
}

test("frames of another implementation are read", () => {
  for (const length of [1, 12, 13, 100, 5000, 70_000, 1_000_000]) {
    const data = sample(length);
    const frame = lz4.compress(data) as Uint8Array;
    expect(Buffer.compare(decompressLz4(frame, length), data)).toBe(0);
  }
});

test("what is damaged is refused, or read as another implementation reads it", () => {
  const data = sample(5000);
  const frame = lz4.compress(data) as Uint8Array;
  const outcomes = { refused: 0, same: 0 };
  for (let at = 0; at < frame.length; at++) {
    // How large blocks may be, which is not asked here.
    if (at === 5) continue;
    for (const bits of [0x01, 0x55, 0xff]) {
      const damaged = frame.slice();
      damaged[at] = (damaged[at] as number) ^ bits;
      let read: Uint8Array;
      try {
        read = decompressLz4(damaged, data.length);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
        outcomes.refused++;
        continue;
      }
      expect(Buffer.compare(read, lz4.decompress(damaged, data.length) as Uint8Array), `byte ${at} ^ ${bits}`).toBe(0);
      outcomes.same++;
    }
  }
  expect(Math.min(outcomes.refused, outcomes.same)).toBeGreaterThan(100);
});

test("a frame that is cut off, or of another size, is refused", () => {
  const data = sample(5000);
  const frame = lz4.compress(data) as Uint8Array;
  for (let length = 0; length < frame.length; length += 13) {
    expect(() => decompressLz4(frame.subarray(0, length), data.length)).toThrow();
  }
  for (const size of [0, data.length - 1, data.length + 1]) expect(() => decompressLz4(frame, size)).toThrow();
});
