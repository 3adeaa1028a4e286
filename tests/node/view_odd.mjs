// view_odd.mjs <address of a loader>
//
// Opens recordings that are very large, very long, or have hardly anything in them; prints as JSON, by their
// names, what the page says, and how long its frames took.
//
//   RDL_TEST_NODE_MODULES, RDL_TEST_CHROMIUM  where the packages lie, and the browser

import { expectingTrouble, framesOf, shot, somebody, tell, watchFrames } from "./view/page.mjs";

const [loader] = process.argv.slice(2);

const text = (page, selector) => page.locator(selector).first().innerText();

async function opened(recording, ready, more = "") {
  const page = await somebody();
  await page.addInitScript(`(${watchFrames.inPage})()`);
  const begun = performance.now();
  await page.goto(`${loader}/view?ds.recording=${recording}${more}`);
  await ready(page);
  const readyMs = Math.round(performance.now() - begun);
  return { page, readyMs };
}

const hasMessage = (page) => page.locator(".panel.raw .age").waitFor();

// Opens it, goes to its middle by the mouse, and plays for a moment.
async function played(recording) {
  const { page, readyMs } = await opened(recording, hasMessage);
  const { x, y, width } = await page.getByRole("slider", { name: "Moment" }).boundingBox();
  await page.mouse.click(x + width / 2 + 3, y + 10);
  for (let part = 1; part < 10; part++) await page.mouse.move(x + (width * part) / 10, y + 22);
  await page.waitForFunction(() => document.querySelector(".transport .state").textContent === "");
  await page.getByRole("button", { name: "Play" }).click();
  await page.waitForTimeout(500);
  await page.getByRole("button", { name: "Pause" }).click();
  const seen = {
    range: await text(page, ".range"),
    legend: await text(page, ".legend"),
    message: await text(page, ".panel.raw .content"),
    readyMs,
    frames: await framesOf(page),
  };
  await shot(page, recording);
  await page.context().close();
  return seen;
}

async function said(recording, ready) {
  const { page, readyMs } = await opened(recording, ready);
  const seen = { body: await text(page, "body"), readyMs, frames: await framesOf(page) };
  if (await page.locator(".range").isVisible()) seen.range = await text(page, ".range");
  await shot(page, recording);
  await page.context().close();
  return seen;
}

async function topics() {
  const { page, readyMs } = await opened("topics", hasMessage);
  const names = page.locator(".topics .name");
  const listed = await names.count();
  await page.getByLabel("Filter topics").fill("number123");
  const filtered = await names.allInnerTexts();
  await page.getByLabel("Filter topics").fill("");
  await page.locator(".topics").hover();
  for (let i = 0; i < 10; i++) await page.mouse.wheel(0, 1500);
  const seen = { listed, filtered, readyMs, frames: await framesOf(page) };
  await shot(page, "topics");
  await page.context().close();
  return seen;
}

const alerted = (page) => page.getByRole("alert").waitFor();
const usable = (page) => page.locator(".panels .notice").waitFor();

await tell(() =>
  expectingTrouble(async () => ({
    many: await played("many"),
    long: await played("long"),
    timeless: await played("timeless"),
    clamped: await played("clamped"),
    topicless: await said("topicless", usable),
    hollow: await said("hollow", alerted),
    empty: await said("empty", alerted),
    failing: await said("failing", alerted),
    topics: await topics(),
  })),
);
