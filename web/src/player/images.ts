// Pictures in messages, compressed and raw, by the schemas of Foxglove and of ROS. They are told by their
// fields: those have the same names in every encoding.

import type { Value } from "./decode";
import { pictureSize } from "./picture_size";

export type Picture =
  | { kind: "compressed"; data: Uint8Array; type: string }
  | { kind: "raw"; pixels: Uint8ClampedArray<ArrayBuffer>; width: number; height: number };

/** Schemas that hold a picture. */
export function isPictureSchema(name: string | null): boolean {
  return /(^|[./:])(Compressed|Raw)?Image$/.test(name ?? "");
}

/** The picture in a message. @throws an error in words for people */
export function pictureIn(message: Value): Picture {
  const fields = message as Record<string, unknown>;
  const data = bytes(fields["data"]);
  if (data === undefined) throw new Error("there is no picture in this message");
  const { format, encoding, width, height } = fields;
  if (typeof width === "number" && typeof height === "number" && typeof encoding === "string") {
    const step = Number(fields["step"]) || 0;
    const isBigEndian = Boolean(fields["is_bigendian"]);
    return { kind: "raw", pixels: toRgba(data, width, height, encoding, step, isBigEndian), width, height };
  }
  const [columns, rows] = pictureSize(data) ?? [0, 0];
  if (columns * rows > MOST_PIXELS) throw new Error(`a picture of ${columns} × ${rows} is more than is shown here`);
  return { kind: "compressed", data, type: mediaType(String(format ?? "")) };
}

/** A field of bytes, as each encoding gives it. */
export function bytes(value: unknown): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value;
  if (value instanceof Int8Array) return new Uint8Array(value.buffer, value.byteOffset, value.length);
  if (Array.isArray(value)) return Uint8Array.from(value as number[]);
  // JSON has bytes as base64.
  if (typeof value === "string") return Uint8Array.from(atob(value), (c) => c.charCodeAt(0));
  return undefined;
}

// ROS writes `jpeg`, `png` or `rgb8; jpeg compressed bgr8`.
function mediaType(format: string): string {
  const name = /png|webp|avif|bmp|gif/i.exec(format)?.[0].toLowerCase() ?? "jpeg";
  return `image/${name}`;
}

const CHANNELS: Record<string, [offsets: [number, number, number], bytesPerPixel: number]> = {
  rgb8: [[0, 1, 2], 3],
  "8uc3": [[2, 1, 0], 3],
  bgr8: [[2, 1, 0], 3],
  rgba8: [[0, 1, 2], 4],
  bgra8: [[2, 1, 0], 4],
  "8uc4": [[2, 1, 0], 4],
  mono8: [[0, 0, 0], 1],
  "8uc1": [[0, 0, 0], 1],
};

// More than any camera, and less than a tab has.
const MOST_PIXELS = 100_000_000;

export function toRgba(
  data: Uint8Array,
  width: number,
  height: number,
  encoding: string,
  step: number,
  isBigEndian: boolean,
): Uint8ClampedArray<ArrayBuffer> {
  const name = encoding.toLowerCase();
  const isWide = /^(mono16|16uc1)$/.test(name);
  const isDistance = name === "32fc1";
  const [offsets, size] = CHANNELS[name] ?? [[0, 0, 0], isWide ? 2 : 4];
  if (CHANNELS[name] === undefined && !isWide && !isDistance) {
    throw new Error(`pictures in ${encoding} are not shown here`);
  }
  const row = step > 0 ? step : width * size;
  if (width * height > MOST_PIXELS || row < width * size || data.length < row * (height - 1) + width * size) {
    throw new Error(`a picture of ${width} × ${height} in ${encoding} does not fit its ${data.length} bytes`);
  }
  const out = new Uint8ClampedArray(width * height * 4);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const sample = (at: number) =>
    isWide ? view.getUint16(at, !isBigEndian) : view.getFloat32(at, !isBigEndian);
  const [least, scale] = isWide || isDistance ? span(sample, width, height, row, size) : [0, 1];
  let to = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0, at = y * row; x < width; x++, at += size, to += 4) {
      if (isWide || isDistance) {
        const value = (sample(at) - least) * scale;
        out[to] = out[to + 1] = out[to + 2] = value;
      } else {
        out[to] = data[at + offsets[0]] as number;
        out[to + 1] = data[at + offsets[1]] as number;
        out[to + 2] = data[at + offsets[2]] as number;
      }
      out[to + 3] = 255;
    }
  }
  return out;
}

/** Depths are shown from black, the least, to white, the greatest that is there. */
function span(
  sample: (at: number) => number,
  width: number,
  height: number,
  row: number,
  size: number,
): [number, number] {
  let least = Infinity;
  let greatest = -Infinity;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const value = sample(y * row + x * size);
      if (!Number.isFinite(value)) continue;
      if (value < least) least = value;
      if (value > greatest) greatest = value;
    }
  }
  return greatest > least ? [least, 255 / (greatest - least)] : [0, 0];
}
