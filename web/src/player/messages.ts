// The messages of an MCAP that is being received.

import { McapStreamReader } from "@mcap/core";

import type { Nanos } from "../lib/nanos";
import { decompressLz4 } from "./lz4";
import { type Missing, missingOf } from "./missing";

/** What messages of a topic have in common. The same object for the same content. */
export interface Channel {
  readonly topic: string;
  readonly messageEncoding: string;
  readonly schema: { readonly name: string; readonly encoding: string; readonly data: Uint8Array } | undefined;
}

export interface Message {
  readonly channel: Channel;
  readonly logTime: Nanos;
  readonly data: Uint8Array;
  /** A frame of a video that is made of the messages before it, back to one that is not. */
  readonly isDelta?: boolean;
}

/** What came at once. */
export interface Batch {
  messages: Message[];
  /** What the answer lacks; at the end alone. */
  missing: Missing[];
}

/** The connection ended before the MCAP did: not everything has come. */
export class CutOff extends Error {
  override name = "CutOff";
}

/** Channels that were seen, so that decoders are made once. */
export class Channels {
  private readonly known = new Map<string, Channel[]>();

  intern(channel: Channel): Channel {
    const key = JSON.stringify([channel.topic, channel.messageEncoding, channel.schema?.name]);
    const alike = this.known.get(key) ?? [];
    const found = alike.find((other) => isSameSchema(other.schema, channel.schema));
    if (found !== undefined) return found;
    this.known.set(key, [...alike, channel]);
    return channel;
  }
}

function isSameSchema(one: Channel["schema"], other: Channel["schema"]): boolean {
  if (one === undefined || other === undefined) return one === other;
  return (
    one.encoding === other.encoding &&
    one.data.length === other.data.length &&
    one.data.every((byte, index) => byte === other.data[index])
  );
}

const decompressHandlers = {
  lz4: (data: Uint8Array, size: bigint) => decompressLz4(data, Number(size)),
};

/**
 * Every message, as it comes.
 *
 * @throws CutOff if the MCAP does not end; whatever reading the body throws.
 */
export async function* readMessages(
  body: ReadableStream<Uint8Array>,
  known: Channels,
): AsyncGenerator<Batch> {
  const reader = new McapStreamReader({ decompressHandlers });
  const schemas = new Map<number, NonNullable<Channel["schema"]>>();
  const channels = new Map<number, Channel>();
  const source = body.getReader();
  try {
    for (;;) {
      const { done, value } = await source.read().catch((error: unknown) => {
        // What browsers throw of a connection that broke; anything else is that nobody wants it any more.
        throw error instanceof TypeError ? new CutOff("the connection broke off") : error;
      });
      if (done) break;
      reader.append(value);
      const batch: Batch = { messages: [], missing: [] };
      for (let record; (record = reader.nextRecord()); ) {
        switch (record.type) {
          case "Schema":
            // Kept for long: not as a part of what was received.
            schemas.set(record.id, { ...record, data: record.data.slice() });
            break;
          case "Channel":
            channels.set(
              record.id,
              known.intern({
                topic: record.topic,
                messageEncoding: record.messageEncoding,
                schema: schemas.get(record.schemaId),
              }),
            );
            break;
          case "Message": {
            const channel = channels.get(record.channelId);
            if (channel === undefined) throw new Error("a message has no channel");
            batch.messages.push({ channel, logTime: record.logTime, data: record.data.slice() });
            break;
          }
          case "Metadata":
            if (record.name === "remote-data-loader") {
              batch.missing.push(...[...record.metadata.values()].map(missingOf));
            }
            break;
        }
      }
      yield batch;
    }
    if (!reader.done()) throw new CutOff("the stream ended before the recording did");
  } finally {
    await source.cancel().catch(() => undefined);
  }
}
