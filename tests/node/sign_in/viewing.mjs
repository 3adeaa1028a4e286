// Scenarios in the viewer that the loader itself has.

import { LOADER, PAGE, PROVIDER, RECORDING, provider } from "./browser.mjs";
import { consent, logIn, mainText } from "./people.mjs";

const clock = (page) => page.locator(".clock").innerText();

// By the button that is there.
async function signIn(page) {
  const button = page.getByRole("button", { name: "Sign in" });
  const [popup] = await Promise.all([page.waitForEvent("popup"), button.click()]);
  await logIn(popup);
  await Promise.all([popup.waitForEvent("close"), consent(popup)]);
}

async function opened(context, url) {
  const page = await context.newPage();
  await page.goto(url);
  const before = await mainText(page);
  await signIn(page);
  await page.locator(".panel.raw .age").waitFor();
  return { page, before };
}

export async function loaders_viewer(context) {
  const { page, before } = await opened(context, `${LOADER}/view?${RECORDING}`);
  const topics = await page.locator(".topics .name").count();
  await page.reload();
  await page.locator(".panel.raw .age").waitFor();
  return { before, topics, panel: await page.locator(".panel.raw").innerText() };
}

// What is copied there, to be run elsewhere by whoever has no session.
export async function handed_on(context) {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const { page } = await opened(context, `${LOADER}/view?${RECORDING}`);
  await page.getByLabel("Select /group0/topic0").check();
  await page.getByRole("button", { name: "Hand on" }).click();
  const copied = {};
  for (const name of ["curl", "Python"]) {
    await page.getByRole("button", { name: `Copy ${name}` }).click();
    const said = page.locator(".said").filter({ hasText: name });
    copied[`${name}Said`] = await said.innerText();
    copied[name] = await page.evaluate(() => navigator.clipboard.readText());
  }
  return copied;
}

// The page of a loader without users, which reads from this one.
export async function another_loader(context) {
  const other = `${PAGE}/view?${RECORDING}&ds.dataLoaderUrl=${encodeURIComponent(LOADER)}`;
  const { page, before } = await opened(context, other);
  const from = await clock(page);
  await page.getByRole("button", { name: "Play" }).click();
  await page.waitForFunction((from) => document.querySelector(".clock").textContent !== from, from);
  await page.getByRole("button", { name: "Pause" }).click();
  const played = { from, to: await clock(page) };

  // A loader may not send people to sign in anywhere else.
  const stranger = await context.newPage();
  const problem = { code: "unauthorized", detail: "who are you", loginUrl: "https://elsewhere.test/login" };
  await stranger.route(`${LOADER}/v1/recording*`, (route) =>
    route.fulfill({
      status: 401,
      contentType: "application/problem+json",
      headers: { "access-control-allow-origin": PAGE, "access-control-allow-credentials": "true" },
      body: JSON.stringify(problem),
    }),
  );
  await stranger.goto(other);
  const sentElsewhere = await mainText(stranger);
  const buttons = await stranger.getByRole("button").count();
  return { before, played, sentElsewhere, buttons };
}

// Tokens end within seconds: they are renewed without a word as long as that is possible.
export async function session_ends(context) {
  const refreshes = [];
  context.on("response", (response) => {
    if (new URL(response.url()).pathname === "/v1/session/refresh") refreshes.push(response.status());
  });
  const panel = "panel=raw:/group0/topic0";
  const { page } = await opened(context, `${LOADER}/view?ds.recording=long&${panel}`);
  const trouble = page.locator(".trouble[role=alert]");
  await page.getByLabel("Speed").selectOption("10");
  await page.getByRole("button", { name: "Play" }).click();
  while (refreshes.filter((status) => status === 200).length < 2) await page.waitForTimeout(100);
  const inSilence = { refreshes: [...refreshes], troubles: await trouble.count(), clock: await clock(page) };

  await provider("POST", "revoke");
  const said = await trouble.innerText();
  const stoppedAt = await clock(page);
  const cookies = await context.cookies(PROVIDER);
  for (const { name } of cookies) await context.clearCookies({ name });
  await page.evaluate(() => {
    const play = document.querySelector(".transport .round");
    globalThis.wentOn = new Promise((resolve) =>
      new MutationObserver(() => {
        if (play.ariaLabel === "Pause") resolve(document.querySelector(".clock").textContent);
      }).observe(play, { attributes: true }),
    );
  });
  await signIn(page);
  const wentOnAt = await page.evaluate("wentOn");
  await page.waitForFunction((from) => document.querySelector(".clock").textContent > from, wentOnAt);
  return { inSilence, said, stoppedAt, wentOnAt, troublesAfter: await trouble.count() };
}
