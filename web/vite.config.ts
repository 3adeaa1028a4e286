import { readdir, readFile, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { gzip } from "node:zlib";

import { defineConfig, type Plugin } from "vite";
import solid from "vite-plugin-solid";

/** Beside each file the same packed, so that the loader need not do it for every reader. */
function packed(): Plugin {
  const pack = promisify(gzip);
  return {
    name: "packed",
    apply: "build",
    async closeBundle() {
      const folder = new URL("dist/view/assets/", import.meta.url);
      for (const name of await readdir(folder)) {
        const content = await readFile(new URL(name, folder));
        await writeFile(new URL(`${name}.gz`, folder), await pack(content, { level: 9 }));
      }
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
