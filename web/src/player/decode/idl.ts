// CDR messages by IDL: as ROS 2 writes it, and as the OMG does. XCDR2 comes with the reader.

import { type IDLMessageDefinition, type IDLStructDefinition, parseIDL } from "@foxglove/omgidl-parser";
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
  // Everything else has a byte at least, which bounds how many there are.
  for (const struct of definitions.filter(({ aggregatedKind }) => aggregatedKind === "struct")) {
    const fields = (struct as IDLStructDefinition).definitions.filter(({ isConstant }) => isConstant !== true);
    const isEmpty = fields.length === 0 || fields.some(({ arrayLengths }) => arrayLengths?.includes(0));
    if (isEmpty) throw new Error(`${struct.name} has nothing, or a list of nothing`);
  }
  const reader = new MessageReader(name, definitions);
  return (data) => reader.readMessage(data);
}
