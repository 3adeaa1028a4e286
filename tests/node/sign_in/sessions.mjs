// Scenarios in which somebody signs in and reads.

import {
  LOADER,
  NEIGHBOUR,
  RECORDING,
  SAME_SITE,
  STRANGER,
  VIEWER,
  sessionCookies,
} from "./browser.mjs";
import {
  SIGNED_IN,
  ask,
  consent,
  logIn,
  openViewer,
  read,
  readAll,
  said,
  signIn,
} from "./people.mjs";

// The names of the cookies that the loader gets from this page. With them is one that is nobody's and
// not partitioned: it comes from pages of the loader's site alone.
async function cookieNamesSent(context, page) {
  const cookie = { name: "unpartitioned", value: "1", url: LOADER, secure: true };
  await context.addCookies([{ ...cookie, sameSite: "None" }]);
  const path = "/v1/session";
  const asked = page.waitForRequest((request) => new URL(request.url()).pathname === path);
  await ask(page, path);
  const sent = (await (await asked).allHeaders()).cookie ?? "";
  return sent.split("; ").map((pair) => pair.split("=")[0]);
}

// By a popup, from a page of another site.
export async function embedded(context) {
  const page = await openViewer(context);
  const before = await readAll(page);
  const text = await signIn(page);
  const after = await readAll(page);
  const again = await openViewer(context);
  const neighbour = await openViewer(context, NEIGHBOUR);
  const stranger = await openViewer(context, STRANGER);
  return {
    before,
    text,
    after,
    cookies: await sessionCookies(context),
    cookieNamesSent: await cookieNamesSent(context, page),
    readableByScripts: await page.evaluate("document.cookie"),
    inAnotherTab: await readAll(again),
    onAThirdSite: await readAll(neighbour),
    onAnUnknownSite: await readAll(stranger),
  };
}

// By a popup, from another origin of the loader's site.
export async function same_site(context) {
  const page = await openViewer(context, SAME_SITE);
  const text = await signIn(page);
  return {
    text,
    ...(await readAll(page)),
    cookies: await sessionCookies(context),
    cookieNamesSent: await cookieNamesSent(context, page),
  };
}

// At the loader's own page, which leads on to another one of the loader.
export async function own_page(context) {
  const page = await context.newPage();
  await page.goto(`${LOADER}/login?return_to=%2Fv1%2Fsession`);
  const [popup] = await Promise.all([page.waitForEvent("popup"), page.click("#sign-in")]);
  await logIn(popup);
  const closed = popup.waitForEvent("close");
  await Promise.all([page.waitForURL(`${LOADER}/v1/session`), consent(popup)]);
  await closed;
  return {
    session: JSON.parse(await page.locator("body").innerText()),
    cookies: await sessionCookies(context),
  };
}

// Where no popup opens, the same window goes to the loader and comes back.
export async function popup_blocked(context) {
  await context.addInitScript(() => {
    window.open = () => null;
  });
  const page = await openViewer(context);
  const fragments = [];
  page.on("framenavigated", (frame) => {
    const { origin, hash } = new URL(frame.url());
    if (origin === VIEWER && hash) {
      fragments.push([...new URLSearchParams(hash.slice(1)).keys()]);
    }
  });
  await page.click("#in");
  await logIn(page);
  await consent(page);
  const text = await said(page, SIGNED_IN);
  return { text, fragments, url: page.url(), ...(await readAll(page)) };
}

// The link to the file opens it without a cookie, for whoever has it.
export async function file_link(context) {
  const page = await openViewer(context);
  await signIn(page);
  const { json } = await read(page, `/v1/recording?${RECORDING}`);
  const url = new URL(json.links.file, LOADER).href;
  const stranger = await openViewer(context, STRANGER);
  return {
    fromTheViewer: await firstBytes(page, url),
    fromAnUnknownSite: await firstBytes(stranger, url),
    withoutTheLink: await ask(page, `/v1/recording?${RECORDING}`, { credentials: "omit" }),
  };
}

function firstBytes(page, url) {
  return page.evaluate(async (url) => {
    const range = "bytes=0-7";
    try {
      const answer = await fetch(url, { credentials: "omit", headers: { range } });
      const bytes = Array.from(new Uint8Array(await answer.arrayBuffer()));
      return { status: answer.status, contentRange: answer.headers.get("content-range"), bytes };
    } catch (error) {
      return { failed: String(error) };
    }
  }, url);
}
