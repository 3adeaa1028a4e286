// The frames of the videos that were recorded.

import { readFile } from "node:fs/promises";

import type { Channel, Message } from "../src/player/messages";

const SECOND = 1_000_000_000n;

/** Each frame of `recorded/grey.<name>`. */
export async function framesOf(name: "h264" | "h265" | "vp9.ivf" | "av1.ivf"): Promise<Uint8Array[]> {
  const data = await readFile(new URL(`recorded/grey.${name}`, import.meta.url));
  const frames: Uint8Array[] = [];
  if (name.endsWith(".ivf")) {
    for (let at = data.readUInt16LE(6); at < data.length; ) {
      const length = data.readUInt32LE(at);
      frames.push(data.subarray(at + 12, at + 12 + length));
      at += 12 + length;
    }
    return frames;
  }
  // Each begins with an access unit delimiter.
  const head = Buffer.from(name === "h264" ? [0, 0, 0, 1, 9] : [0, 0, 0, 1, 0x46]);
  for (let at = 0; at < data.length; ) {
    const next = data.indexOf(head, at + head.length);
    frames.push(data.subarray(at, (at = next < 0 ? data.length : next)));
  }
  return frames;
}

export const VIDEO: Channel = {
  topic: "/video",
  messageEncoding: "json",
  schema: { name: "foxglove.CompressedVideo", encoding: "jsonschema", data: new Uint8Array() },
};

/** A frame as a message, ten a second. */
export function videoMessage(number: number, frame: Uint8Array, format = "h264"): Message {
  const data = new TextEncoder().encode(JSON.stringify({ format, data: Buffer.from(frame).toString("base64") }));
  return { channel: VIDEO, logTime: (BigInt(number) * SECOND) / 10n, data };
}
