// The types of the API, from its document: `npm run api` writes them, and a test compares them.

import { readFile, writeFile } from "node:fs/promises";

import openapi, { astToString } from "openapi-typescript";

const DOCUMENT = new URL("../docs/openapi.json", import.meta.url);
export const TYPES = new URL("src/api/schema.ts", import.meta.url);

export async function types() {
  const nodes = await openapi(await readFile(DOCUMENT, "utf8"));
  return `// Generated from docs/openapi.json: \`npm run api\` writes it.\n\n${astToString(nodes)}`;
}

if (process.argv.includes("--write")) {
  await writeFile(TYPES, await types());
}
