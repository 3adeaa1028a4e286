import { defineConfig } from "vite";
import solid from "vite-plugin-solid";

export default defineConfig({
  // Served at `view` below wherever the loader is: the page names its files relative to itself.
  base: "./",
  plugins: [solid()],
  worker: { format: "es" },
  build: {
    assetsDir: "view/assets",
    target: "es2022",
    // The page's policy allows none of it inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
