// The scenario in which access tokens end while somebody watches, and who then signs out.

import { LOADER, RECORDING, provider, savedCookies, sessionCookies } from "./browser.mjs";
import { openViewer, read, readAll, refresh, signIn, windowPath } from "./people.mjs";

const PLAYBACK_MS = 60_000;
const BETWEEN_WINDOWS_MS = 100;

export async function playback(context) {
  const page = await openViewer(context);
  await signIn(page);
  const path = windowPath(await read(page, `/v1/recording?${RECORDING}`));
  const player = new Player(path);
  const refreshes = [];
  context.on("response", (response) => {
    if (new URL(response.url()).pathname === "/v1/session/refresh") {
      refreshes.push(response.status());
    }
  });
  await player.play(page, "api", () => refreshes.length >= 2);
  const byItself = refreshes.splice(0);

  // In two tabs, which do not wait for each other; and then as they do it by themselves.
  const tabs = [page, await openViewer(context)];
  const inBoth = (action) => Promise.all(tabs.map(action));
  await player.playUntilExpired(page);
  const atOnce = await inBoth(refresh);
  const bothPlay = await inBoth((tab) => read(tab, path));
  await player.playUntilExpired(page);
  const older = await savedCookies(context);
  const bothPlayOn = await inBoth((tab) => read(tab, path));
  const events = await provider("GET", "events");

  const last = await savedCookies(context);
  const logoutUrl = await page.evaluate(async () => (await import("/viewer.mjs")).signOut());
  return {
    windows: player.windows,
    expired: player.expired,
    refreshes: byItself,
    atOnce,
    bothPlay,
    bothPlayOn,
    events,
    logoutUrl,
    signedOut: await readAll(page),
    cookies: await sessionCookies(context),
    byTheLastCookies: await revive(page, last),
    // A repeated refresh is answered again for a while, but not to bring back what has ended.
    byOlderCookies: await revive(page, older),
    eventsAfter: await provider("GET", "events"),
    backFromTheProvider: logoutUrl && (await leaveTheProvider(page, logoutUrl)),
  };
}

// Takes the same window over and over, and counts what came.
class Player {
  constructor(path) {
    this.path = path;
    this.until = Date.now() + PLAYBACK_MS;
    this.windows = {};
    this.expired = [];
  }

  async play(tab, by, isEnough) {
    for (let answer; !answer || !isEnough(answer); ) {
      if (Date.now() > this.until) {
        throw new Error(`${JSON.stringify(this)}, and at last ${JSON.stringify(answer)}`);
      }
      await new Promise((later) => setTimeout(later, BETWEEN_WINDOWS_MS));
      answer = await read(tab, this.path, {}, by);
      const { status, json, failed } = answer;
      if (status === 401) {
        this.expired.push(json?.code);
      } else {
        this.windows[status ?? failed] = (this.windows[status ?? failed] ?? 0) + 1;
      }
    }
  }

  playUntilExpired(tab) {
    return this.play(tab, "ask", ({ status }) => status === 401);
  }
}

async function revive(page, cookies) {
  await page.context().addCookies(cookies);
  return { refreshed: await refresh(page), ...(await readAll(page)) };
}

async function leaveTheProvider(page, logoutUrl) {
  await page.goto(logoutUrl);
  await page.click("button[value=yes]");
  await page.waitForURL((url) => url.origin === LOADER);
  return page.url();
}
