// Scenarios in which nobody gets in, or only later.

import { PROVIDER, RECORDING, onCallback, provider } from "./browser.mjs";
import {
  SIGNED_IN,
  ask,
  consent,
  logIn,
  mainText,
  openPopup,
  openViewer,
  read,
  refresh,
  refuse,
  said,
} from "./people.mjs";

// Somebody changes their mind, twice.
export async function refused(context) {
  const page = await openViewer(context);
  const popup = await openPopup(page);
  await logIn(popup);
  await refuse(popup);
  const viewer = await said(page, "Not signed in:");
  const seen = {
    viewer,
    popup: await mainText(popup),
    session: await read(page, "/v1/session"),
  };
  // The provider remembers who this is and asks for consent alone.
  await popup.click("main a");
  const atTheLoader = popup.locator("#sign-in");
  await atTheLoader.or(popup.locator("button:has-text('Continue')")).waitFor();
  if (await atTheLoader.isVisible()) {
    await atTheLoader.click();
  }
  await Promise.all([popup.waitForEvent("close"), consent(popup)]);
  return { ...seen, tryingAgain: await said(page, SIGNED_IN) };
}

// The provider is away before it was asked, when the code is to be redeemed, and when the session is
// to be refreshed.
export async function provider_away(context) {
  const page = await openViewer(context);
  try {
    return {
      beforeLogin: await awayBeforeLogin(page),
      beforeTheCode: await awayBeforeTheCode(page),
      whileSignedIn: await awayWhileSignedIn(page),
      back: { refreshed: await refresh(page), session: await ask(page, "/v1/session") },
    };
  } finally {
    await provider("POST", "back");
  }
}

async function awayBeforeLogin(page) {
  const popup = await openPopup(page);
  await provider("POST", "away");
  const [answer] = await Promise.all([
    popup.waitForResponse((response) => response.url().startsWith(PROVIDER)),
    popup.click("#sign-in"),
  ]);
  await popup.waitForLoadState();
  const seen = { status: answer.status(), popup: await popup.locator("body").innerText() };
  await popup.close();
  const viewer = await said(page, "Not signed in: the window was closed");
  await provider("POST", "back");
  return { ...seen, viewer };
}

async function awayBeforeTheCode(page) {
  const popup = await openPopup(page);
  await logIn(popup);
  await onCallback(popup, () => provider("POST", "away"));
  const redeemed = redeeming(page);
  await consent(popup);
  const viewer = await said(page, /^Not signed in: (?!the window)/);
  // Unless the viewer closed it, as it does when there is a code.
  const text = await mainText(popup).catch(() => null);
  await provider("POST", "back");
  if (!popup.isClosed()) {
    await popup.close();
  }
  return { viewer, redeemed: [...redeemed], popup: text, session: await read(page, "/v1/session") };
}

async function awayWhileSignedIn(page) {
  const popup = await openPopup(page);
  // The provider knows by now who this is and that they consent.
  await Promise.all([popup.waitForEvent("close"), popup.click("#sign-in")]);
  await said(page, SIGNED_IN);
  await provider("POST", "away");
  const seen = {
    refreshed: await refresh(page),
    session: await read(page, "/v1/session"),
    recording: await read(page, `/v1/recording?${RECORDING}`),
  };
  await provider("POST", "back");
  return seen;
}

// The statuses with which codes are redeemed from now on.
function redeeming(page) {
  const statuses = [];
  page.on("response", (response) => {
    const isPost = response.request().method() === "POST";
    if (isPost && new URL(response.url()).pathname === "/v1/session") {
      statuses.push(response.status());
    }
  });
  return statuses;
}
