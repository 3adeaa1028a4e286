import { defineConfig } from "vite";
import solid from "vite-plugin-solid";

import { ASSETS, LATER, packed } from "./packed";

export default defineConfig({
  // Served at `view` below wherever the loader is: the page names its files relative to itself.
  base: "./",
  plugins: [solid(), packed({ bytesAtFirst: 120_000, bytes: 350_000 })],
  worker: { format: "es", rollupOptions: { output: { chunkFileNames: `${ASSETS}/${LATER}[name]-[hash].js` } } },
  build: {
    assetsDir: ASSETS,
    target: "es2022",
    // The page's policy allows none of it inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
