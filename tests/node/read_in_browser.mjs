// read_in_browser.mjs (<URL> <from> <to> <topic>)...
//
// Reads MCAPs by their URLs with @mcap/core in Chromium, from a page of another origin, and prints
// what `readByUrl` gives of each, as a JSON array; with it, under `headers`, what the page could see
// of an answer, under `tail` the last bytes, and under `preflights` how often the browser asked
// beforehand. The packages lie in RDL_TEST_NODE_MODULES, the browser is RDL_TEST_CHROMIUM.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, join, normalize } from "node:path";

import { launch } from "./chromium.mjs";
import { questions } from "./indexed.mjs";

const modules = process.env.RDL_TEST_NODE_MODULES;

// The two decompressors are written for bundlers, which give them Node.js's Buffer.
const PAGE = `<!doctype html>
<link rel="icon" href="data:,">
<script type="importmap">{"imports": {
  "@mcap/core": "/modules/@mcap/core/dist/esm/index.js",
  "@foxglove/crc": "/modules/@foxglove/crc/dist/esm/src/index.js",
  "heap-js": "/modules/heap-js/dist/heap-js.es5.js"
}}</script>
<script>
  globalThis.Buffer = {
    allocUnsafe: (size) => new Uint8Array(size),
    from: (memory) => ({
      copy: (to, at, start, end) => to.set(new Uint8Array(memory, start, end - start), at),
    }),
  };
</script>`;

const PAGE_FILES = {
  "/": ["text/html", async () => PAGE],
  "/indexed.mjs": ["text/javascript", () => readFile(new URL("indexed.mjs", import.meta.url))],
};

// A CommonJS module as one that browsers import.
function asModule(path, text) {
  const required = [...new Set(Array.from(text.matchAll(/require\("(\.[^"]*)"\)/g), (m) => m[1]))];
  const url = (name) => `/commonjs${normalize(`${dirname(path)}/${name}`)}`;
  const file = (name) => (/\.(js|wasm)$/.test(name) ? name : `${name}.js`);
  const imports = required.map((name, at) => `import m${at} from "${url(file(name))}";`);
  const known = required.map((name, at) => `"${name}": m${at}`);
  return `${imports.join("\n")}
const required = {${known.join(", ")}}, require = (name) => required[name];
const module = { exports: {} }, exports = module.exports;
${text}
export default module.exports;`;
}

async function answer(path) {
  if (PAGE_FILES[path]) {
    const [type, read] = PAGE_FILES[path];
    return [type, await read()];
  }
  const [, way, name] = path.match(/^\/(modules|commonjs)(\/.*)$/) ?? [];
  if (way === "modules") {
    const type = name.endsWith(".wasm") ? "application/wasm" : "text/javascript";
    return [type, await readFile(join(modules, name))];
  }
  if (name?.endsWith(".wasm")) {
    return ["text/javascript", `export default "/modules${name}";`];
  }
  return ["text/javascript", asModule(name, await readFile(join(modules, name), "utf8"))];
}

const server = createServer((request, response) => {
  answer(new URL(request.url, "http://page").pathname).then(
    ([type, body]) => response.setHeader("content-type", type).end(body),
    (error) => response.writeHead(404).end(String(error)),
  );
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const origin = `http://127.0.0.1:${server.address().port}`;

// Runs in the page.
async function readInPage(asked) {
  const { readByUrl } = await import("/indexed.mjs");
  const { McapIndexedReader } = await import("@mcap/core");
  const { default: lz4 } = await import("/commonjs/@foxglove/wasm-lz4/dist/index.js");
  const { default: zstd } = await import("/commonjs/@foxglove/wasm-zstd/dist/index.js");
  await Promise.all([lz4.isLoaded, zstd.isLoaded]);
  const decompressHandlers = {
    lz4: (data, size) => lz4(data, Number(size)),
    zstd: (data, size) => zstd.decompress(data, Number(size)),
  };
  // Browsers ask beforehand whether they may ask for the end of a file.
  const last = await fetch(asked.url, { headers: { range: "bytes=-8" } });
  const tail = Array.from(new Uint8Array(await last.arrayBuffer()));
  const headers = Object.fromEntries(last.headers);
  return { ...(await readByUrl(McapIndexedReader, decompressHandlers, asked)), headers, tail };
}

const browser = await launch();
try {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(error));
  page.on("console", (message) => console.error(message.text()));
  const network = await page.context().newCDPSession(page);
  let preflights = 0;
  network.on("Network.requestWillBeSent", ({ request }) => {
    preflights += request.method === "OPTIONS";
  });
  await network.send("Network.enable");
  await page.goto(origin);
  const seen = [];
  for (const asked of questions(process.argv.slice(2))) {
    preflights = 0;
    const read = await page.evaluate(readInPage, asked);
    seen.push({ ...read, preflights });
  }
  process.stdout.write(JSON.stringify(seen));
} finally {
  await browser.close();
  server.close();
}
