// The types of the API, from its document: `npm run api` writes them, and a test compares them.

import { readFile, writeFile } from "node:fs/promises";

import openapi, { astToString } from "openapi-typescript";

const DOCUMENT = new URL("../docs/openapi.json", import.meta.url);
export const TYPES = new URL("src/api/schema.ts", import.meta.url);

export async function types() {
  const document = JSON.parse(await readFile(DOCUMENT, "utf8"));
  for (const path of Object.values(document.paths)) {
    delete path.head; // Has the id of its GET, which the generator refuses, and is not asked here.
  }
  const nodes = await openapi(document);
  return `// Generated from docs/openapi.json: \`npm run api\` writes it.\n\n${astToString(nodes)}`;
}

if (process.argv.includes("--write")) {
  await writeFile(TYPES, await types());
}
