// view.mjs <address of the demo> <address of another loader with the demo>
//
// Somebody looks at the demo's drive in Chromium; prints as JSON what was seen. What is wrong with the
// page itself (errors, breaches of its policy) is under `errors`.
//
//   RDL_TEST_NODE_MODULES, RDL_TEST_CHROMIUM  where the packages lie, and the browser
//   DOWNLOADS       a folder for what is downloaded
//   SCREENSHOTS     a folder: what was seen is put there, light, dark and on a phone

import {
  clock,
  expectingTrouble,
  framesOf,
  pictured,
  pictureSize,
  shot,
  somebody,
  tell,
  watchFrames,
} from "./view/page.mjs";

const { env } = process;
const [demo, elsewhere] = process.argv.slice(2);
const LINK = `${demo}/view?ds=remote-data-loader&ds.recording=demo-drive`;
const PHONE = { width: 390, height: 780 };
// The drive takes six seconds at the speed of ten.
const SOME_LOOPS_MS = 7000;
// Playwright's own copy goes with the browser.
async function kept(download) {
  if (env.DOWNLOADS) await download.saveAs(`${env.DOWNLOADS}/download.mcap`);
  return env.DOWNLOADS ? `${env.DOWNLOADS}/download.mcap` : undefined;
}

// Until the clock says something that is wanted.
async function clockIs(page, wanted) {
  await page.waitForFunction((wanted) => document.querySelector(".clock")?.textContent === wanted, wanted);
}

function median(times) {
  return times.sort((a, b) => a - b)[times.length >> 1];
}

async function looksAround() {
  const page = await somebody();
  await page.goto(LINK);
  await pictured(page);
  const seen = {
    title: await page.title(),
    topics: await page.locator(".topics .name").allInnerTexts(),
    picture: await pictureSize(page),
    clock: await clock(page),
  };
  await page.getByLabel("Filter topics").fill("camera image");
  seen.filtered = await page.locator(".topics .name").allInnerTexts();
  await page.getByLabel("Filter topics").fill("");
  await shot(page, "light");

  // A seek by the mouse: to the middle.
  const track = page.getByRole("slider", { name: "Moment" });
  const { x, y, width, height } = await track.boundingBox();
  await page.mouse.click(x + width / 2, y + height / 2);
  await page.waitForFunction(() => /^09:30:(29.9|30.0)/.test(document.querySelector(".clock").textContent));
  await page.locator(".panel.raw .age").filter({ hasText: /09:30:(29.9|30.0)/ }).waitFor();
  seen.odometry = await page.locator(".panel.raw .node").allInnerTexts();

  // By the keyboard.
  await track.focus();
  const before = await clock(page);
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction((before) => document.querySelector(".clock").textContent !== before, before);
  seen.keyed = { from: before, to: await clock(page) };

  // Another panel, from a field of the tree.
  await page.locator(".panel.raw .node").filter({ has: page.locator(".key", { hasText: /^x$/ }) }).first().hover();
  await page.getByTitle("Plot /odom.pose.position.x").click();
  await page.locator(".panel.plot .lines .mono").filter({ hasText: /\d/ }).waitFor();
  seen.plotted = await page.locator(".panel.plot .lines .name").allInnerTexts();

  // Five seconds of playing.
  const cursor = () => page.locator(".chart .moment").evaluate(({ style }) => parseFloat(style.left));
  const from = { clock: await clock(page), cursor: await cursor() };
  await page.getByRole("button", { name: "Play" }).click();
  await page.waitForTimeout(5000);
  await page.getByRole("button", { name: "Pause" }).click();
  await page.waitForTimeout(200);
  seen.played = { from, to: { clock: await clock(page), cursor: await cursor() } };
  await shot(page, "playing");

  // The same link leads to the same place.
  await page.waitForFunction(() => new URLSearchParams(location.search).has("at"));
  await page.waitForTimeout(1200);
  const [url, at] = [page.url(), await clock(page)];
  await page.reload();
  await clockIs(page, at);
  await pictured(page);
  seen.reloaded = {
    clock: await clock(page),
    isSameLink: page.url() === url,
    panels: await page.locator(".panel h2").allInnerTexts(),
  };
  await page.emulateMedia({ colorScheme: "dark" });
  await page.waitForTimeout(300);
  await shot(page, "dark");

  // A part of it, as a file.
  await page.getByLabel("Select /imu").check();
  await page.keyboard.press("[");
  await page.keyboard.press("Shift+ArrowRight");
  await page.waitForTimeout(300);
  await page.keyboard.press("]");
  await page.getByRole("button", { name: "Hand on" }).click();
  await shot(page, "hand-on");
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download as MCAP" }).click(),
  ]);
  seen.download = { name: download.suggestedFilename(), path: await kept(download) };
  await page.context().close();
  return seen;
}

// Times that a person feels, in milliseconds, of a recording that is here already.
async function isQuick() {
  const page = await somebody();
  const begun = performance.now();
  await page.goto(LINK);
  await pictured(page);
  const firstPictureMs = performance.now() - begun;
  const seeks = [];
  for (const seconds of [41, 7, 52, 18, 33, 3, 57]) {
    seeks.push(await page.evaluate(async (seconds) => {
      const track = document.querySelector(".track");
      const { left, width, top } = track.getBoundingClientRect();
      const place = { clientX: left + (width * seconds) / 60, clientY: top + 20, button: 0, pointerId: 1, bubbles: true };
      track.setPointerCapture = () => undefined;
      const age = document.querySelector(".panel.raw .age .mono");
      const before = age.textContent;
      const begun = performance.now();
      track.dispatchEvent(new PointerEvent("pointerdown", place));
      track.dispatchEvent(new PointerEvent("lostpointercapture", place));
      await new Promise((resolve) => {
        const look = () => (age.textContent !== before ? resolve() : requestAnimationFrame(look));
        look();
      });
      return performance.now() - begun;
    }, seconds));
  }
  await page.context().close();
  return { firstPictureMs, seekMs: median(seeks) };
}

// What a phone shows, and links that lead nowhere.
async function findsTrouble() {
  const phone = await somebody({ viewport: PHONE, hasTouch: true });
  await phone.goto(LINK);
  await pictured(phone);
  await shot(phone, "phone");
  const overflow = await phone.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  await phone.context().close();
  return { overflow, ...(await expectingTrouble(findsNothing)) };
}

async function findsNothing() {
  const lost = await somebody();
  await lost.goto(`${demo}/view?ds.recording=nothing`);
  const unknown = await lost.getByRole("alert").innerText();
  await shot(lost, "not-found");
  await lost.goto(`${demo}/view`);
  const nameless = await lost.getByRole("alert").innerText();
  await lost.context().close();
  return { unknown, nameless };
}

// The page of one loader reads from another one.
async function readsElsewhere() {
  const page = await somebody();
  const asked = new Set();
  page.on("request", (request) => asked.add(new URL(request.url()).origin));
  // To send cookies to a loader that everybody may ask is tried first, and reported.
  await expectingTrouble(async () => {
    await page.goto(`${LINK}&ds.dataLoaderUrl=${encodeURIComponent(elsewhere)}`);
    await pictured(page);
  });
  await page.context().close();
  return { asked: [...asked].filter((origin) => origin.startsWith("http")) };
}

// What is gone is let go of: a tab that plays on and on stays as it is.
async function keepsItsMemory() {
  const page = await somebody();
  const fields = "/odom.pose.position.x /odom.linear_velocity.x /imu.linear_acceleration.z";
  const panels = ["image:/camera/image", "raw:/lidar/points", "raw:/imu", `plot:${fields}`];
  const asked = new URLSearchParams(panels.map((panel) => ["panel", panel]));
  await page.goto(`${LINK}&${asked}`);
  await pictured(page);
  await page.getByLabel("Loop").check();
  await page.getByLabel("Speed").selectOption("10");
  await watchFrames(page);
  const developer = await page.context().newCDPSession(page);
  await developer.send("Performance.enable");
  const heapAndNodes = async () => {
    await developer.send("HeapProfiler.collectGarbage");
    const { metrics } = await developer.send("Performance.getMetrics");
    const value = (wanted) => metrics.find(({ name }) => name === wanted).value;
    return { bytes: value("JSHeapUsedSize"), nodes: value("Nodes") };
  };
  await page.getByRole("button", { name: "Play" }).click();
  await page.waitForTimeout(SOME_LOOPS_MS);
  const early = await heapAndNodes();
  await page.waitForTimeout(SOME_LOOPS_MS);
  const late = await heapAndNodes();
  const { longestFrameMs } = await framesOf(page);
  await page.context().close();
  return { memory: { early, late }, longestFrameMs };
}

await tell(async () => ({
  ...(await looksAround()),
  ...(await isQuick()),
  ...(await keepsItsMemory()),
  ...(await findsTrouble()),
  ...(await readsElsewhere()),
}));
