// The browser of these tests: RDL_TEST_CHROMIUM, by playwright-core of RDL_TEST_NODE_MODULES.

import { createRequire } from "node:module";
import { join } from "node:path";

const { env } = process;
const packages = createRequire(join(env.RDL_TEST_NODE_MODULES, "from-here.js"));
const { chromium } = packages("playwright-core");

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export function launch(...more) {
  return chromium.launch({
    executablePath: env.RDL_TEST_CHROMIUM,
    args: [...ARGUMENTS, ...more],
  });
}
