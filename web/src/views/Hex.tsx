// A message that nothing here decodes, as bytes.

import { createMemo } from "solid-js";

import type { Shown } from "../player/protocol";

const ROW = 16;

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

export function hexDump(data: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < data.length; at += ROW) {
    const row = [...data.subarray(at, at + ROW)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${hex.padEnd(ROW * 3 - 1)}  ${text}`);
  }
  return lines.join("\n");
}
