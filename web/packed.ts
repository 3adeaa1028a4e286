// What the build leaves: each file packed, too, and no page that is too large.

import { promisify } from "node:util";
import { gzip } from "node:zlib";

import type { Plugin } from "vite";

export const ASSETS = "view/assets";

/** How the names of files begin that come when they are needed. */
export const LATER = "later-";

/** Beside each file the same packed, so that the loader need not do it for every reader. */
export function packed(most: { bytesAtFirst: number; bytes: number }): Plugin {
  const pack = promisify(gzip);
  return {
    name: "packed",
    apply: "build",
    generateBundle: {
      order: "post",
      // Before anything is written, so that a page that is too large does not pass for made.
      async handler(_, bundle) {
        const sums = { first: 0, later: 0 };
        for (const file of Object.values(bundle)) {
          if (!file.fileName.startsWith(ASSETS)) continue;
          const content = await pack(file.type === "chunk" ? file.code : file.source, { level: 9 });
          this.emitFile({ type: "asset", fileName: `${file.fileName}.gz`, source: content });
          sums[file.fileName.includes(LATER) ? "later" : "first"] += content.length;
        }
        const { first, later } = sums;
        const words = `${first} bytes come at first (of at most ${most.bytesAtFirst}), ${later} later`;
        if (first > most.bytesAtFirst || first + later > most.bytes) {
          this.error(`${words}: of at most ${most.bytes} in all`);
        }
        this.info(words);
      },
    },
  };
}
