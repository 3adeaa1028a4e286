// CDR messages by IDL: as ROS 2 writes it, and as the OMG does. XCDR2 comes with the reader.

import { type IDLMessageDefinition, parseIDL } from "@foxglove/omgidl-parser";
import { MessageReader } from "@foxglove/omgidl-serialization";

import type { Decode } from "../decode";

type Schema = { name: string; data: Uint8Array };

const text = new TextDecoder();

// Before each of the files that a schema is made of.
const FILE_HEAD = /^=+\r?\nIDL: .*$/gm;

/** `builtin_interfaces/msg/Time` is `builtin_interfaces::msg::Time` in IDL. */
export function makeRos2Idl({ name, data }: Schema): Decode {
  return reader(name.replaceAll("/", "::"), parseIDL(text.decode(data).replace(FILE_HEAD, "")));
}

export function makeIdl({ name, data }: Schema): Decode {
  return reader(name, parseIDL(text.decode(data)));
}

function reader(name: string, definitions: IDLMessageDefinition[]): Decode {
  const reader = new MessageReader(name, definitions);
  return (data) => reader.readMessage(data);
}
