// A Chromium that knows the sites of a test and treats cookies as browsers do by now: those of other
// sites are neither sent nor taken unless they are partitioned.

import * as chromium from "../chromium.mjs";

const { env } = process;

export const { LOADER, VIEWER, NEIGHBOUR, STRANGER, SAME_SITE, PROVIDER, PROVIDER_HOOKS } = env;
export const { RECORDING, PAGE } = env;

export const SESSION_COOKIE = /^__Host-rdl-(session|embedded)/;
const CALLBACK = `${LOADER}/oauth/callback`;
// How long anything may take that a person would wait for.
const PATIENCE_MS = 20_000;

const ARGUMENTS = [
  "--test-third-party-cookie-phaseout",
  // The provider's pages ask for fonts from elsewhere, and would wait for them.
  "--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
  `--ignore-certificate-errors-spki-list=${env.SPKI_HASH}`,
];

export function launch() {
  return chromium.launch(...ARGUMENTS);
}

// What nobody shall ever see but browsers, the loader and the provider: cookies, codes and states.
export const secrets = new Set();

function remember(...found) {
  found.filter(Boolean).forEach((secret) => secrets.add(secret));
}

async function rememberCookies(response) {
  // A page that is closed tells no more.
  const headers = await response.headersArray().catch(() => []);
  for (const { name, value } of headers) {
    if (name.toLowerCase() === "set-cookie" && response.url().startsWith(LOADER)) {
      const [, cookie] = value.match(/=(?:\d\.)?([^;]*)/);
      remember(cookie);
    }
  }
}

function rememberRequest(request) {
  const { searchParams, pathname } = new URL(request.url());
  remember(...["code", "state", "code_challenge"].map((name) => searchParams.get(name)));
  if (request.method() === "POST" && pathname === "/v1/session") {
    const { code, state } = request.postDataJSON() ?? {};
    remember(code, state);
  }
}

// Somebody's browser: cookies of its own.
export async function somebody(browser) {
  const context = await browser.newContext();
  context.on("request", rememberRequest);
  context.on("response", rememberCookies);
  context.setDefaultTimeout(PATIENCE_MS);
  context.on("weberror", (error) => console.error(error.page()?.url(), error.error()));
  return context;
}

export function isCallback(response) {
  return response.url().startsWith(CALLBACK) && response.status() !== 302;
}

// When the provider sends the person at this page back to the loader, `change` may change the address
// at which they arrive. Playwright's routes do not see where a redirect leads.
export async function onCallback(page, change) {
  const requests = await page.context().newCDPSession(page);
  let isChanged = false;
  requests.on("Fetch.requestPaused", async ({ requestId, request }) => {
    if (isChanged) {
      await requests.send("Fetch.continueRequest", { requestId });
      return;
    }
    isChanged = true;
    const url = new URL(request.url);
    await change(url);
    // So that the page sees the other address, too.
    const responseHeaders = [{ name: "location", value: url.href }];
    await requests.send("Fetch.fulfillRequest", { requestId, responseCode: 302, responseHeaders });
  });
  await requests.send("Fetch.enable", { patterns: [{ urlPattern: `${CALLBACK}*` }] });
}

// What is to be seen of the loader's cookies, but for their content.
export async function sessionCookies(context) {
  const cookies = await savedCookies(context);
  return cookies.map(({ value, ...seen }) => ({ ...seen, bytes: value.length }));
}

// The same with their content, for `context.addCookies`.
export async function savedCookies(context) {
  const cookies = await context.cookies();
  return cookies.filter(({ name }) => SESSION_COOKIE.test(name));
}

// What the provider tells tests, or does for them.
export async function provider(method, name) {
  const answer = await fetch(`${PROVIDER_HOOKS}/_test/${name}`, { method });
  return answer.json();
}
