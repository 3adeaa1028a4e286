import { readdir, readFile, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { gzip } from "node:zlib";

import { defineConfig, type Plugin } from "vite";
import solid from "vite-plugin-solid";

// What comes at first has to be small, packed: all there is, though decoders come when they are needed.
const MOST_BYTES = 350_000;

/** Beside each file the same packed, so that the loader need not do it for every reader. */
function packed(): Plugin {
  const pack = promisify(gzip);
  return {
    name: "packed",
    apply: "build",
    async closeBundle() {
      const folder = new URL("dist/view/assets/", import.meta.url);
      let sum = 0;
      for (const name of await readdir(folder)) {
        const content = await pack(await readFile(new URL(name, folder)), { level: 9 });
        await writeFile(new URL(`${name}.gz`, folder), content);
        sum += content.length;
      }
      if (sum > MOST_BYTES) throw new Error(`the viewer has ${sum} bytes, of at most ${MOST_BYTES}`);
    },
  };
}

export default defineConfig({
  // Served at `view` below wherever the loader is: the page names its files relative to itself.
  base: "./",
  plugins: [solid(), packed()],
  worker: { format: "es" },
  build: {
    assetsDir: "view/assets",
    target: "es2022",
    // The page's policy allows none of it inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
