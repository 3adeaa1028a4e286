// Scenarios in which something was changed, or comes where it does not belong.

import {
  LOADER,
  NEIGHBOUR,
  RECORDING,
  SESSION_COOKIE,
  STRANGER,
  isCallback,
  onCallback,
  savedCookies,
  somebody,
} from "./browser.mjs";
import {
  ask,
  consent,
  logIn,
  mainText,
  openPopup,
  openViewer,
  redeem,
  said,
  signIn,
} from "./people.mjs";

// As many letters, one of them another.
function flipped(text, at = Math.floor(text.length / 2)) {
  const other = text[at] === "A" ? "B" : "A";
  return text.slice(0, at) + other + text.slice(at + 1);
}

// What the provider sends back with somebody, changed; sent twice; and sent by somebody else.
export async function callback_tampered(context, browser) {
  const changes = {
    state: (query) => query.set("state", flipped(query.get("state"))),
    stateCut: (query) => query.set("state", query.get("state").slice(0, -20)),
    stateGone: (query) => query.delete("state"),
    code: (query) => query.set("code", flipped(query.get("code"))),
    codeGone: (query) => query.delete("code"),
  };
  // From now on the provider knows who this is and that they consent.
  await signIn(await openViewer(context));
  const seen = {};
  for (const [name, change] of Object.entries(changes)) {
    seen[name] = await comeBack(context, ({ searchParams }) => change(searchParams));
  }
  let good;
  seen.unchanged = await comeBack(context, ({ href }) => (good = href));
  seen.twice = await visit(context, good);
  const other = await somebody(browser);
  seen.bySomebodyElse = await visit(other, good);
  await other.close();
  return seen;
}

async function comeBack(context, change) {
  await context.clearCookies({ name: SESSION_COOKIE });
  const page = await openViewer(context);
  const popup = await openPopup(page);
  await onCallback(popup, change);
  const [answer] = await Promise.all([
    popup.waitForResponse(isCallback),
    popup.click("#sign-in"),
  ]);
  const status = answer.status();
  const viewer = status === 200 ? await said(page, /^(Signed in|Not signed in: )/) : null;
  // Unless the viewer closed it, as it does when there is a code.
  const text = await mainText(popup).catch(() => null);
  const session = await ask(page, "/v1/session");
  await page.close();
  await popup.close();
  return { status, popup: text, viewer, session };
}

async function visit(context, url) {
  const page = await context.newPage();
  const answer = await page.goto(url);
  const seen = { status: answer.status(), popup: await mainText(page) };
  await page.close();
  return seen;
}

// The viewer's code is redeemed by others, with another state, changed, and twice.
export async function code_misused(context) {
  const page = await openViewer(context);
  const neighbour = await openViewer(context, NEIGHBOUR);
  const stranger = await openViewer(context, STRANGER);
  const heard = new Promise((hear) => {
    const take = async (route) => {
      hear(route.request().postDataJSON());
      await route.fulfill({ status: 503, json: {} });
    };
    const post = (url) => url.href === `${LOADER}/v1/session`;
    // The browser asks beforehand, and that goes on.
    context.route(post, (route) =>
      route.request().method() === "POST" ? take(route) : route.fallback(),
    );
  });
  const popup = await openPopup(page);
  await logIn(popup);
  await Promise.all([popup.waitForEvent("close"), consent(popup)]);
  const { code, state } = await heard;
  await context.unrouteAll({ behavior: "wait" });
  const { json: session } = await ask(page, "/v1/session");
  return {
    session,
    fromAThirdSite: await redeem(neighbour, { code, state }),
    fromAnUnknownSite: await redeem(stranger, { code, state }),
    withAnotherState: await redeem(page, { code, state: flipped(state) }),
    withoutState: await redeem(page, { code }),
    changed: await redeem(page, { code: flipped(code), state }),
    cut: await redeem(page, { code: code.slice(0, -4), state }),
    asItShouldBe: await redeem(page, { code, state }),
    twice: await redeem(page, { code, state }),
    sessionAfter: await ask(page, "/v1/session"),
  };
}

// A session's cookies that were changed are no session's.
export async function damaged_cookies(context) {
  const page = await openViewer(context);
  await signIn(page);
  const cookies = await savedCookies(context);
  const damages = {
    first: (value) => flipped(value, 0),
    middle: (value) => flipped(value),
    last: (value) => flipped(value, value.length - 2),
    half: (value) => value.slice(0, value.length / 2),
    empty: () => "",
    longer: (value) => `${value}AAAA`,
    other: () => "no=session%00",
  };
  const seen = {};
  for (const [name, damage] of Object.entries(damages)) {
    const damaged = cookies.map((cookie) => ({ ...cookie, value: damage(cookie.value) }));
    await replaceCookies(context, damaged);
    seen[name] = await whatIsOpen(page);
  }
  await replaceCookies(context, cookies);
  return { ...seen, undamaged: await whatIsOpen(page) };
}

async function replaceCookies(context, cookies) {
  await context.clearCookies({ name: SESSION_COOKIE });
  await context.addCookies(cookies);
}

async function whatIsOpen(page) {
  return {
    session: await ask(page, "/v1/session"),
    recording: await ask(page, `/v1/recording?${RECORDING}`),
  };
}
