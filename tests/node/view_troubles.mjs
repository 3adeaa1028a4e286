// view_troubles.mjs fails|breaks <address of a loader>
//
// `fails`: the recording `half` has a source that fails until the test is asked to `mend` it; asked for
// a status, the test has the data backend refuse recordings with it.
// `breaks`: the stream of the recording `cut` breaks off, as the test is asked to `cut` connections and to
// let them `pass` again; that of `broken` ends in the middle until the test is asked to `mend` it.
// Prints as JSON what was seen.
//
//   RDL_TEST_NODE_MODULES, RDL_TEST_CHROMIUM  where the packages lie, and the browser

import { ask, clock, expectingTrouble, shot, somebody, tell } from "./view/page.mjs";

const [what, loader] = process.argv.slice(2);
const TEN_SECONDS_IN = "2026-01-31T09:30:10Z";
// What a message of these recordings takes in the page.
const EVERY_NANOS = 50_000_000n;

const link = (recording, more) => `${loader}/view?ds.recording=${recording}&${more}`;
const legend = async (page) =>
  (await page.locator(".legend > span:not(.wide)").allInnerTexts()).map((text) => text.trim());
const trouble = (page) => page.locator(".trouble[role=alert]");

// The loader stays with what it found for some seconds.
async function retryUntil(page, seen) {
  const retry = page.getByRole("button", { name: /^Try again/ });
  while (!(await seen.isVisible())) {
    await retry.click({ timeout: 500 }).catch(() => undefined);
    await page.waitForTimeout(300);
  }
}

async function fails() {
  const page = await somebody();
  await page.goto(link("half", `panel=raw:/good&panel=raw:/bad&at=${TEN_SECONDS_IN}`));
  const said = await trouble(page).innerText();
  const problems = page.getByRole("button", { name: /^\d+ problem/ });
  await problems.click();
  const seen = {
    said,
    clock: await clock(page),
    problems: await page.locator(".problems li").allInnerTexts(),
    legend: await legend(page),
    isRed: await page.locator(".track canvas").evaluate((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.some((red, i) => i % 4 === 0 && red > 180 && data[i + 1] < 90 && data[i + 2] < 90);
    }),
  };
  await problems.click();
  await shot(page, "failing");
  await page.getByRole("button", { name: "Go on without it" }).click();
  await page.getByRole("region", { name: "raw /good" }).locator(".age").waitFor();
  seen.without = await page.locator(".trouble.mild").innerText();
  await ask("mend");
  const bad = page.getByRole("region", { name: "raw /bad" }).locator(".age");
  await retryUntil(page, bad);
  await page.locator(".legend").getByText("2 kept").waitFor();
  seen.mended = { bad: await bad.innerText(), clock: await clock(page), legend: await legend(page) };
  const refused = {};
  for (const status of ["403", "404", "502"]) {
    await ask(status);
    await page.goto(link(`refused-${status}`, ""));
    refused[status] = await page.getByRole("alert").innerText();
  }
  return { ...seen, refused };
}

// The page's worker says what it has; and how the shown moments went.
async function listened() {
  const page = await somebody();
  await page.addInitScript(() => {
    globalThis.backwards = 0;
    globalThis.Worker = class extends Worker {
      constructor(...of) {
        super(...of);
        this.addEventListener("message", ({ data }) => {
          if (data.is !== "frame") return;
          const { status } = data;
          if (globalThis.playing?.moment > status.moment) globalThis.backwards += 1;
          globalThis.playing = status;
        });
      }
    };
  });
  return page;
}

const until = (page, seconds) =>
  page.waitForFunction((seconds) => {
    const [, last] = /(\d\d\.\d+)$/.exec(document.querySelector(".clock")?.textContent) ?? [];
    return Number(last) >= seconds;
  }, seconds);

// How many messages are in hand and how many there have to be; and the numbers from here back.
async function counted(page) {
  await page.getByRole("button", { name: "Pause" }).click();
  await page.waitForTimeout(300);
  const { from, until, bytes, backwards } = await page.evaluate(() => ({ ...playing, backwards }));
  const text = await page.locator(".panel.raw .content").innerText();
  const [, size] = /· (\d+) B/.exec(text);
  // What a message costs besides its bytes, as src/player/segment.ts says.
  const inHand = bytes / (Number(size) + 120);
  // Messages come at whole multiples, both ends are seconds of them.
  const first = (from + EVERY_NANOS - 1n) / EVERY_NANOS;
  const last = (until - 1n) / EVERY_NANOS;
  const number = async () => Number(/^n\n(\d+)$/m.exec(await page.locator(".panel.raw .content").innerText())[1]);
  // To the one that is shown, first.
  await page.keyboard.press(",");
  await page.waitForTimeout(100);
  const steps = [await number()];
  while (steps.length < 50) {
    await page.keyboard.press(",");
    const now = steps.at(-1);
    await page.waitForFunction(
      (now) => !new RegExp(`^n\\n${now}$`, "m").test(document.querySelector(".panel.raw .content").innerText),
      now,
    );
    steps.push(await number());
  }
  return { inHand, expected: Number(last - first) + 1, steps, backwards };
}

async function isCut() {
  const page = await listened();
  let cutStreams = 0;
  page.on("requestfailed", (request) => (cutStreams += Number(request.url().includes("/v1/stream"))));
  await page.goto(link("cut", "panel=raw:/counted"));
  await page.locator(".panel.raw .age").waitFor();
  await page.getByRole("button", { name: "Play" }).click();
  await until(page, 1);
  await ask("cut");
  await page.waitForTimeout(1000);
  await ask("pass");
  await until(page, 4);
  const alerts = await trouble(page).count();
  const seen = { ...(await counted(page)), alerts, cutStreams };
  await page.context().close();
  return seen;
}

async function isBroken() {
  const page = await listened();
  await page.goto(link("broken", "panel=raw:/counted"));
  await page.locator(".panel.raw .age").waitFor();
  await page.getByRole("button", { name: "Play" }).click();
  const said = await trouble(page).innerText();
  const stoppedAt = await clock(page);
  await ask("mend");
  const wentOn = page.evaluate(
    () =>
      new Promise((resolve) => {
        const look = () => {
          if (!document.querySelector("[aria-label=Pause]")) requestAnimationFrame(look);
          else resolve(document.querySelector(".clock").textContent);
        };
        look();
      }),
  );
  const pause = page.getByRole("button", { name: "Pause" });
  await retryUntil(page, pause);
  await until(page, 5);
  const seen = { said, stoppedAt, wentOnAt: await wentOn, ...(await counted(page)) };
  await page.context().close();
  return seen;
}

async function breaks() {
  const [cut, broken] = [await isCut(), await isBroken()];
  return { cut, broken };
}

await tell(() => expectingTrouble({ fails, breaks }[what]));
