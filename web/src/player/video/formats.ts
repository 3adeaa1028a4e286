// What a decoder has to know of one frame of compressed video: whether it can start there, and how the
// codec is called (RFC 6381), which key frames say.

export interface Look {
  isKey: boolean;
  /** For WebCodecs; key frames have it, unless they lack their parameter sets. */
  codec: string | undefined;
}

interface Format {
  name: string;
  look(data: Uint8Array): Look;
}

const DELTA: Look = { isKey: false, codec: undefined };

export const FORMATS: Readonly<Record<string, Format>> = {
  h264: { name: "H.264", look: lookAtH264 },
  h265: { name: "H.265", look: lookAtH265 },
  vp9: { name: "VP9", look: lookAtVp9 },
  av1: { name: "AV1", look: lookAtAv1 },
};

/** The NAL units of Annex B from their headers on, each with what follows it. */
function* nalUnits(data: Uint8Array): Generator<Uint8Array> {
  for (let at = data.indexOf(1, 2); at >= 0; at = data.indexOf(1, at + 1)) {
    if (data[at - 1] === 0 && data[at - 2] === 0) yield data.subarray(at + 1);
  }
}

/** ITU-T H.264, table 7-1: 1 to 5 are coded slices, 5 those of an IDR picture; 7 is an SPS. */
function lookAtH264(data: Uint8Array): Look {
  let codec: string | undefined;
  for (const unit of nalUnits(data)) {
    const type = (unit[0] ?? 0) & 0x1f;
    if (type === 7 && unit.length >= 4) codec = `avc1.${hex(unit.subarray(1, 4))}`;
    if (type >= 1 && type <= 5) return type === 5 ? { isKey: true, codec } : DELTA;
  }
  return DELTA;
}

/** ITU-T H.265, table 7-1: 0 to 31 are coded slices, 16 to 23 those of IRAP pictures; 33 is an SPS. */
function lookAtH265(data: Uint8Array): Look {
  let codec: string | undefined;
  for (const unit of nalUnits(data)) {
    const type = ((unit[0] ?? 0) >> 1) & 0x3f;
    if (type === 33) codec = codecOfH265(unit);
    if (type < 32) return type >= 16 && type <= 23 ? { isKey: true, codec } : DELTA;
  }
  return DELTA;
}

/** By the profile, tier and level (7.3.3) of an SPS, as ISO/IEC 14496-15, annex E.3 writes them. */
function codecOfH265(unit: Uint8Array): string | undefined {
  // Behind its header of two bytes and one more; as much as is looked at, with its emulation prevention.
  const head = withoutEmulation(unit.subarray(3, 27));
  if (head.length < 12) return undefined;
  const [profile = 0, ...rest] = head;
  const space = ["", "A", "B", "C"][profile >> 6] ?? "";
  const flags = rest.slice(0, 4).map((byte) => byte.toString(2).padStart(8, "0")).join("");
  const compatible = parseInt([...flags].reverse().join(""), 2).toString(16);
  const constraints = rest.slice(4, 10);
  while (constraints.at(-1) === 0) constraints.pop();
  const parts = [
    `hev1.${space}${profile & 0x1f}`,
    compatible,
    `${(profile & 0x20) === 0 ? "L" : "H"}${rest[10]}`,
    ...constraints.map((byte) => byte.toString(16)),
  ];
  return parts.join(".");
}

function withoutEmulation(data: Uint8Array): number[] {
  return [...data].filter((byte, at) => !(byte === 3 && at >= 2 && data[at - 1] === 0 && data[at - 2] === 0));
}

/** VP9's uncompressed header (6.2). Browsers do not look at the level. */
function lookAtVp9(data: Uint8Array): Look {
  const bits = new Bits(data);
  const isFrame = bits.take(2) === 2;
  const profile = bits.take(1) + 2 * bits.take(1);
  if (profile === 3) bits.take(1);
  const isShownAgain = bits.take(1) === 1;
  const isKey = bits.take(1) === 0;
  if (!isFrame || isShownAgain || !isKey) return DELTA;
  bits.take(2); // Whether it is shown, and resilient to errors.
  if (bits.take(24) !== 0x498342) return DELTA;
  const depth = profile < 2 ? "08" : bits.take(1) === 1 ? "12" : "10";
  return { isKey: true, codec: `vp09.0${profile}.10.${depth}` };
}

/** AV1's OBUs (5.3): a sequence header, and a frame whose header (5.9.2) says that it is a key frame. */
function lookAtAv1(data: Uint8Array): Look {
  let codec: string | undefined;
  for (let at = 0; at < data.length; ) {
    const header = data[at++] as number;
    if ((header & 4) !== 0) at++; // It has an extension.
    let length = data.length - at;
    if ((header & 2) !== 0) {
      length = 0;
      for (let shift = 0; shift < 35; shift += 7) {
        const byte = data[at++] ?? 0;
        length += (byte & 0x7f) * 2 ** shift;
        if (byte < 0x80) break;
      }
    }
    const bits = new Bits(data.subarray(at, at + length));
    const type = (header >> 3) & 15;
    if (type === 1) codec = codecOfAv1(bits);
    if (type === 3 || type === 6) {
      const isKey = bits.take(1) === 0 && bits.take(2) === 0;
      return isKey ? { isKey, codec } : DELTA;
    }
    at += length;
  }
  return DELTA;
}

/** By a sequence header (5.5). Browsers do not look at the depth. */
function codecOfAv1(bits: Bits): string {
  const profile = bits.take(3);
  const isReduced = bits.take(2) % 2 === 1;
  let level = 8;
  let isHighTier = false;
  if (isReduced) {
    level = bits.take(5);
  } else if (bits.take(1) === 0) {
    // Without timing: else the level lies far behind, and a usual one will do.
    bits.take(1 + 5 + 12);
    level = bits.take(5);
    isHighTier = level > 7 && bits.take(1) === 1;
  }
  return `av01.${profile}.${String(level).padStart(2, "0")}${isHighTier ? "H" : "M"}.08`;
}

class Bits {
  private at = 0;

  constructor(private readonly data: Uint8Array) {}

  /** The next bits as a number; zeros behind the end. */
  take(count: number): number {
    let value = 0;
    for (; count > 0; count--, this.at++) {
      value = value * 2 + (((this.data[this.at >> 3] ?? 0) >> (7 - (this.at & 7))) & 1);
    }
    return value;
  }
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
