// Somebody's browser, at the loader's viewer.
//
//   SCREENSHOTS     a folder: what was seen is put there
//   CHROMIUM_ARGUMENTS  more of them

import { createInterface } from "node:readline";

import { launch } from "../chromium.mjs";

const { env } = process;
const WIDE = { width: 1280, height: 800 };
// How long anything may take that a person would wait for.
const PATIENCE_MS = 20_000;

// What is wrong with pages themselves: errors, breaches of their policy.
export const errors = [];

export const browser = await launch(...(env.CHROMIUM_ARGUMENTS ?? "").split(/ (?=--)/).filter(Boolean));

export async function somebody(options = {}) {
  const context = await browser.newContext({ viewport: WIDE, colorScheme: "light", ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" && !(isTroubleExpected && isOfNetwork(message.text()))) errors.push(message.text());
  });
  return page;
}

export async function shot(page, name) {
  if (env.SCREENSHOTS) await page.screenshot({ path: `${env.SCREENSHOTS}/${name}.png` });
}

export const clock = (page) => page.locator(".clock").innerText();
export const pictureSize = (page) =>
  page.locator(".panel.image canvas").evaluate(({ width, height }) => [width, height]);

// A picture is there when its canvas has its size.
export async function pictured(page) {
  await page.waitForFunction(() => {
    const canvas = document.querySelector(".panel.image canvas");
    return canvas !== null && !canvas.classList.contains("hidden") && canvas.width > 300;
  });
}

// How long the page takes from one frame to the next, from now on.
export function watchFrames(page) {
  return page.evaluate(watchFrames.inPage);
}

watchFrames.inPage = () => {
  const frames = [];
  globalThis.frames = frames;
  let last = performance.now();
  const frame = (now) => {
    // Somebody began anew.
    if (globalThis.frames !== frames) return;
    frames.push(now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
};

export async function framesOf(page) {
  const frames = (await page.evaluate("frames")).sort((a, b) => a - b);
  return { frames: frames.length, medianFrameMs: frames[frames.length >> 1], longestFrameMs: frames.at(-1) };
}

// Has the test do something to what the page reads from, and waits until it is done.
let answers;
export async function ask(what) {
  answers ??= createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  process.stdout.write(`? ${what}\n`);
  await answers.next();
}

// Browsers report each answer that is not good: in here that is no error of the page.
let isTroubleExpected = false;

export async function expectingTrouble(act) {
  isTroubleExpected = true;
  try {
    return await act();
  } finally {
    isTroubleExpected = false;
  }
}

function isOfNetwork(text) {
  return /^Failed to load resource|^Access to .* blocked by CORS policy|net::ERR_/.test(text);
}

// Prints as JSON what was seen, and with it what was wrong with the page.
export async function tell(see) {
  try {
    const seen = await see();
    process.stdout.write(JSON.stringify({ ...seen, errors }));
  } catch (error) {
    for (const page of browser.contexts().flatMap((context) => context.pages())) {
      await shot(page, "stuck");
      console.error(`${page.url()}: ${await page.locator("body").innerText()}`);
    }
    console.error(errors);
    throw error;
  } finally {
    await browser.close();
    process.stdin.destroy();
  }
}
