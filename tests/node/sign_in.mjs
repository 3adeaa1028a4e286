// sign_in.mjs <scenario>...
//
// People sign in to the loader in Chromium, from a viewer's page on another site; prints as JSON, by
// the names of the scenarios, what was seen at each step; with it, under `secrets`, what was secret in
// all that. Without a name all are played; for `playback` and `session_ends` access tokens have to end
// within seconds.
//
//   RDL_TEST_NODE_MODULES, RDL_TEST_CHROMIUM  where the packages lie, and the browser
//   SPKI_HASH       the certificate that the browser trusts
//   LOADER          the loader's origin
//   VIEWER          the origin of `viewer/` on another site, which the loader allows
//   NEIGHBOUR       the same on a third site, allowed too
//   STRANGER        the same on a site that the loader does not know
//   SAME_SITE       the same on another origin of the loader's site, allowed
//   PAGE            the origin of another loader, without users and on another site, allowed
//   PROVIDER        the origin at which people sign in
//   PROVIDER_HOOKS  where identity_provider.mjs listens without TLS
//   RECORDING       the query of a recording: `ds.recording=…`; ten minutes long is `ds.recording=long`

import { launch, secrets, somebody } from "./sign_in/browser.mjs";
import * as damage from "./sign_in/damage.mjs";
import * as playback from "./sign_in/playback.mjs";
import * as sessions from "./sign_in/sessions.mjs";
import * as troubles from "./sign_in/troubles.mjs";
import * as viewing from "./sign_in/viewing.mjs";

const SCENARIOS = { ...sessions, ...playback, ...troubles, ...damage, ...viewing };

const asked = process.argv.slice(2);
const browser = await launch();
try {
  const seen = {};
  for (const name of asked.length > 0 ? asked : Object.keys(SCENARIOS)) {
    const context = await somebody(browser);
    try {
      seen[name] = await SCENARIOS[name](context, browser);
    } catch (error) {
      for (const page of context.pages()) {
        console.error(`${page.url()}: ${await page.locator("body").innerText()}`);
      }
      throw new Error(name, { cause: error });
    }
    await context.close();
  }
  process.stdout.write(JSON.stringify({ ...seen, secrets: [...secrets] }));
} finally {
  await browser.close();
}
