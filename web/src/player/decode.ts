// From bytes to values, by how messages and schemas are written. Each decoder is loaded when a channel
// needs it. What cannot be decoded is shown as bytes, with the reason.
//
// No decoder makes code of a schema: the page's policy forbids that, and schemas are the data's.

import { failureOf } from "./failure";
import type { Channel } from "./messages";

/** Plain objects, arrays, typed arrays, strings, numbers, bigints and booleans. */
export type Value = unknown;
export type Decode = (data: Uint8Array) => Value;

/** Why a channel's messages are bytes and no more. */
export interface Undecodable {
  why: string;
}

type Make = (schema: NonNullable<Channel["schema"]>) => Decode;

const made = new WeakMap<Channel, Promise<Decode | Undecodable>>();

export function decoderOf(channel: Channel): Promise<Decode | Undecodable> {
  let decoder = made.get(channel);
  if (decoder === undefined) {
    decoder = make(channel).catch((error: unknown) => ({ why: `its schema: ${failureOf(error).words}` }));
    made.set(channel, decoder);
  }
  return decoder;
}

async function make({ messageEncoding, schema }: Channel): Promise<Decode | Undecodable> {
  if (messageEncoding === "json") return decodeJson;
  const maker = await makerFor(messageEncoding, schema?.encoding ?? "");
  if (maker === undefined) {
    const how = schema === undefined ? "without a schema" : `with a schema in ${schema.encoding}`;
    return { why: `nothing here reads ${messageEncoding || "an unnamed encoding"} ${how}` };
  }
  return schema === undefined ? { why: "it has no schema" } : maker(schema);
}

async function makerFor(encoding: string, schema: string): Promise<Make | undefined> {
  switch (`${encoding} ${schema}`) {
    case "protobuf protobuf":
      return (await import("./decode/protobuf")).makeProtobuf;
    case "ros1 ros1msg":
      return (await import("./decode/ros")).makeRos1;
    case "cdr ros2msg":
      return (await import("./decode/ros")).makeRos2;
    case "cdr ros2idl":
      return (await import("./decode/idl")).makeRos2Idl;
    case "cdr omgidl":
      return (await import("./decode/idl")).makeIdl;
    case "flatbuffer flatbuffer":
      return (await import("./decode/flatbuffer")).makeFlatbuffer;
    default:
      return undefined;
  }
}

const text = new TextDecoder();

// The rest is parsed many times as fast.
const HAS_LONG_INTEGER = /(?:^|[[:,\s-])\d{16}/;

function decodeJson(data: Uint8Array): Value {
  const json = text.decode(data);
  return HAS_LONG_INTEGER.test(json) ? JSON.parse(json, exactly) : JSON.parse(json);
}

/**
 * An integer that a number does not hold, such as nanoseconds since 1970, as a bigint where the parser
 * says how it was written; elsewhere it stays rounded.
 */
export function exactly(_name: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  const source = context?.source ?? "";
  return /^-?\d{1,20}$/.test(source) ? BigInt(source) : value;
}
