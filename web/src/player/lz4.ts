// LZ4 frames, as MCAP chunks have them (lz4_Frame_format.md 1.6.4, lz4_Block_format.md).
//
// Checksums of frames are not looked at: chunks have one of their own.

const MAGIC = 0x184d2204;
const IS_STORED = 0x8000_0000;

/** The content of one frame, which has this length. */
export function decompressLz4(frame: Uint8Array, size: number): Uint8Array {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint32(0, true) !== MAGIC) throw new Error("not an LZ4 frame");
  const flags = view.getUint8(4);
  if (flags >> 6 !== 1) throw new Error("an LZ4 frame of an unknown version");
  const hasBlockChecksums = (flags & 0x10) !== 0;
  // Magic, flags, block size; content size; dictionary id; header checksum.
  let at = 6 + ((flags & 0x08) !== 0 ? 8 : 0) + ((flags & 0x01) !== 0 ? 4 : 0) + 1;
  const out = new Uint8Array(size);
  let length = 0;
  for (;;) {
    const head = view.getUint32(at, true);
    at += 4;
    if (head === 0) break;
    const end = at + (head & ~IS_STORED);
    if (end > frame.length) throw new Error("an LZ4 block is cut off");
    if ((head & IS_STORED) !== 0) {
      out.set(frame.subarray(at, end), length);
      length += end - at;
    } else {
      length = decompressBlock(frame, at, end, out, length);
    }
    at = end + (hasBlockChecksums ? 4 : 0);
  }
  if (length !== size) throw new Error(`an LZ4 frame has ${length} bytes instead of ${size}`);
  return out;
}

/** Where the output ends after the block; matches may reach into blocks before. */
function decompressBlock(
  block: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  begin: number,
): number {
  let at = start;
  let length = begin;
  const lengthFrom = (nibble: number): number => {
    let sum = nibble;
    if (nibble !== 15) return sum;
    for (;;) {
      if (at >= end) throw new Error("an LZ4 length is cut off");
      const byte = block[at++] as number;
      sum += byte;
      if (byte !== 255) return sum;
    }
  };
  while (at < end) {
    const token = block[at++] as number;
    const literals = lengthFrom(token >> 4);
    if (at + literals > end || length + literals > out.length) {
      throw new Error("LZ4 literals reach beyond their block");
    }
    if (literals > 64) {
      out.set(block.subarray(at, at + literals), length);
      at += literals;
      length += literals;
    } else {
      for (const stop = at + literals; at < stop; ) out[length++] = block[at++] as number;
    }
    if (at === end) break;
    if (at + 2 > end) throw new Error("an LZ4 offset is cut off");
    const offset = (block[at] as number) | ((block[at + 1] as number) << 8);
    at += 2;
    const matched = 4 + lengthFrom(token & 15);
    const from = length - offset;
    if (offset === 0 || from < 0 || length + matched > out.length) {
      throw new Error("an LZ4 match reaches beyond its frame");
    }
    if (matched > 64 && offset >= matched) {
      out.copyWithin(length, from, from + matched);
      length += matched;
    } else {
      // What is copied may be what was just written.
      for (let i = from; i < from + matched; i++) out[length++] = out[i] as number;
    }
  }
  return length;
}
