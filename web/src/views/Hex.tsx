// A message that nothing here decodes, as bytes.

import { createMemo } from "solid-js";

import type { Shown } from "../player/protocol";
import { hexDump } from "./hex_dump";

export function Hex(props: { shown: Shown & { as: "hex" } }) {
  const text = createMemo(() => hexDump(props.shown.data));
  return (
    <>
      <p class="faint pad">Shown as bytes: {props.shown.why}.</p>
      <pre class="mono hex">{text()}</pre>
      {props.shown.bytes > props.shown.data.length && (
        <p class="faint pad">The first {props.shown.data.length} of {props.shown.bytes} bytes.</p>
      )}
    </>
  );
}
