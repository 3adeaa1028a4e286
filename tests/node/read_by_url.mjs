// read_by_url.mjs (<URL> <from> <to> <topic>)...
//
// Reads MCAPs by their URLs with @mcap/core and prints what `readByUrl` gives of each, as a JSON
// array. The packages lie in RDL_TEST_NODE_MODULES.

import { webcrypto } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";

import { questions, readByUrl } from "./indexed.mjs";

const require = createRequire(join(process.env.RDL_TEST_NODE_MODULES, "from-here.js"));
const { McapIndexedReader } = require("@mcap/core");
const { loadDecompressHandlers } = require("@mcap/support");

// Node.js 18 has none.
globalThis.crypto ??= webcrypto;

const decompressHandlers = await loadDecompressHandlers();
const seen = [];
for (const asked of questions(process.argv.slice(2))) {
  seen.push(await readByUrl(McapIndexedReader, decompressHandlers, asked));
}
process.stdout.write(JSON.stringify(seen));
