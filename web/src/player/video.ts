// Compressed video, by Foxglove's schema: a message is one frame, in the order they are shown. A frame
// that is no key frame needs all before it, back to one.

import { decoderOf, type Value } from "./decode";
import { bytes } from "./images";
import type { Batch, Channel, Message } from "./messages";
import { FORMATS, type Look } from "./video/formats";

/** One frame, as a decoder takes it. */
export interface Unit extends Look {
  /** The format's name, for people. */
  format: string;
  data: Uint8Array;
}

export function isVideoSchema(name: string | null): boolean {
  return /(^|[./:])CompressedVideo$/.test(name ?? "");
}

export function isVideo(channel: Channel): boolean {
  return isVideoSchema(channel.schema?.name ?? null);
}

/** The frame in a message. @throws an error in words for people */
export function unitIn(message: Value): Unit {
  const { data, format } = message as Record<string, unknown>;
  const frame = bytes(data);
  if (frame === undefined || frame.length === 0) throw new Error("there is no frame in this message");
  const known = Object.hasOwn(FORMATS, String(format)) ? FORMATS[String(format)] : undefined;
  if (known === undefined) throw new Error(`video in ${JSON.stringify(format)} is not shown here`);
  return { ...known.look(frame), format: known.name, data: frame };
}

/** The frame of a message. @throws an error in words for people */
export async function unitOf({ channel, data }: Message): Promise<Unit> {
  const decoder = await decoderOf(channel);
  if ("why" in decoder) throw new Error(decoder.why);
  return unitIn(decoder(data));
}

/** Marks the frames of videos that need those before them. */
export async function* withDeltas(batches: AsyncIterable<Batch>): AsyncGenerator<Batch> {
  for await (const batch of batches) {
    if (!batch.messages.some(({ channel }) => isVideo(channel))) {
      yield batch;
      continue;
    }
    const messages: Message[] = [];
    for (const message of batch.messages) {
      messages.push(isVideo(message.channel) ? { ...message, isDelta: await isDelta(message) } : message);
    }
    yield { ...batch, messages };
  }
}

/** What cannot be read stands for itself: whatever follows cannot be made without it. */
async function isDelta(message: Message): Promise<boolean> {
  try {
    return !(await unitOf(message)).isKey;
  } catch {
    return false;
  }
}
