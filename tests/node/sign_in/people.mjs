// What people do who sign in, and what they see.

import { LOADER, PROVIDER, RECORDING, VIEWER } from "./browser.mjs";

export const SIGNED_IN = /^Signed in$/;
const USER = "anna";
const START = "#sign-in";
const WINDOW_MS = 50;
const CONSENT = "button:has-text('Continue')";

// The viewer's page at this site, when it knows whether somebody is signed in.
export async function openViewer(context, site = VIEWER) {
  const page = await context.newPage();
  await page.goto(viewerUrl(site));
  await said(page, /./);
  return page;
}

export function viewerUrl(site = VIEWER) {
  return `${site}/?loader=${encodeURIComponent(LOADER)}`;
}

// Waits until the viewer says something like this.
export async function said(page, what) {
  const output = page.locator("output").filter({ hasText: what });
  await output.waitFor();
  return output.textContent();
}

// The viewer's popup, at the loader's page.
export async function openPopup(page) {
  const [popup] = await Promise.all([page.waitForEvent("popup"), page.click("#in")]);
  await popup.locator(START).waitFor();
  return popup;
}

// From the loader's page, or from where it leads, to the provider's question for consent.
export async function logIn(page, user = USER) {
  const start = page.locator(START);
  await start.or(page.locator("input[name=login]")).waitFor();
  if (await start.isVisible()) {
    await start.click();
  }
  await page.fill("input[name=login]", user);
  await page.fill("input[name=password]", "any");
  await page.click("button[type=submit]");
  await page.locator(CONSENT).waitFor();
  if (!page.url().startsWith(PROVIDER)) {
    throw new Error(`${page.url()} asks for consent`);
  }
}

export function consent(page) {
  return page.click(CONSENT);
}

export function refuse(page) {
  return page.click("a:has-text('Cancel')");
}

// All of it in a popup of the viewer, which closes it.
export async function signIn(page, user = USER) {
  const popup = await openPopup(page);
  await logIn(popup, user);
  await Promise.all([popup.waitForEvent("close"), consent(popup)]);
  return said(page, SIGNED_IN);
}

// What a page tells its reader.
export async function mainText(page) {
  await page.locator("main").waitFor();
  return page.locator("main").innerText();
}

// What a viewer's page gets by one of its functions: `api`, which refreshes, or `ask`, which does not.
export function read(page, path, options = {}, by = "api") {
  return page.evaluate(
    async ({ path, options, by }) => {
      const viewer = await import("/viewer.mjs");
      try {
        const answer = await viewer[by](path, options);
        const type = answer.headers.get("content-type");
        if (/json/.test(type)) {
          return { status: answer.status, json: await answer.json() };
        }
        return { status: answer.status, type, bytes: (await answer.arrayBuffer()).byteLength };
      } catch (error) {
        // Browsers say no more of what another origin keeps to itself.
        return { failed: String(error) };
      }
    },
    { path, options, by },
  );
}

export function ask(page, path, options) {
  return read(page, path, options, "ask");
}

export function redeem(page, body) {
  const headers = { "content-type": "application/json" };
  return ask(page, "/v1/session", { method: "POST", headers, body: JSON.stringify(body) });
}

export function refresh(page) {
  return ask(page, "/v1/session/refresh", { method: "POST" });
}

// The recording, a window at its start, and who is signed in.
export async function readAll(page) {
  const recording = await read(page, `/v1/recording?${RECORDING}`);
  return {
    session: await read(page, "/v1/session"),
    recording,
    stream: await read(page, windowPath(recording)),
  };
}

export function windowPath({ json }) {
  const start = json?.start ?? "";
  const end = start && new Date(Date.parse(start) + WINDOW_MS).toISOString();
  return `/v1/stream?${RECORDING}&${new URLSearchParams(start && { start, end })}`;
}
