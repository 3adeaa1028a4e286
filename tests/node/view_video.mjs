// view_video.mjs <link>
//
// Opens the viewer with the videos of a recording: /h264, /h265, /vp9, /av1, /damaged and /late. Frame n of
// each lies n tenths of a second behind the start, and is grey of the level 16 + 7 n of video. Prints as
// JSON which frames were seen when, and what was said where there was none.
//
//   RDL_TEST_NODE_MODULES, RDL_TEST_CHROMIUM  where the packages lie, and the browser
//   SCREENSHOTS     a folder: what was seen is put there

import { clock, shot, somebody, tell } from "./view/page.mjs";

const [link] = process.argv.slice(2);

const opened = (at, ...panels) => {
  const asked = new URLSearchParams([["at", at], ...panels.map((panel) => ["panel", panel])]);
  return `${link}&${asked}`;
};
const panel = (page, topic) => page.getByRole("region", { name: `image ${topic}`, exact: true });

// Pages can tell which frame a canvas shows: its number, or undefined if it is none exactly.
async function watcher() {
  const page = await somebody();
  await page.addInitScript(() => {
    globalThis.frameOf = (canvas) => {
      if (canvas === null || canvas.classList.contains("hidden") || canvas.width !== 160) return undefined;
      const copy = new OffscreenCanvas(160, 90).getContext("2d");
      copy.drawImage(canvas, 0, 0);
      const levels = [[0, 0], [80, 45], [159, 89]].map(([x, y]) => copy.getImageData(x, y, 1, 1).data[1]);
      const number = Math.round((levels[0] * 219) / 255 / 7);
      const isExact = levels.every((level) => Math.abs((level * 219) / 255 - 7 * number) <= 2);
      return isExact ? number : undefined;
    };
  });
  return page;
}

const frameOf = (page, topic) =>
  panel(page, topic).locator("canvas").evaluate((canvas) => globalThis.frameOf(canvas));

// The frame that belongs to the clock's time, once it is shown, or else what is shown after a while; or what is
// said instead, where that is expected.
async function frameAt(page, seconds, topic = "/h264", isFrame = true) {
  await page.waitForFunction((end) => document.querySelector(".clock")?.textContent.endsWith(end), seconds);
  const place = panel(page, topic);
  if (!isFrame) return place.getByText("No picture").innerText();
  const expected = Math.round(Number(seconds) * 10);
  for (let i = 0; i < 100 && (await frameOf(page, topic)) !== expected; i++) await page.waitForTimeout(50);
  // And it stays.
  await page.waitForTimeout(50);
  return (await frameOf(page, topic)) ?? place.locator(".content").innerText();
}

async function goesBackAndForth() {
  const page = await watcher();
  let streams = 0;
  page.on("request", (request) => (streams += request.url().includes("/v1/stream") ? 1 : 0));
  await page.goto(opened("2026-01-31T09:30:01.5Z", "image:/h264", "raw:/h264"));
  const middle = await frameAt(page, "01.500");
  await shot(page, "video");
  // Within the second of its key frame nothing is asked for.
  const before = streams;
  const back = [];
  for (const tenth of [4, 3, 2, 1, 0]) {
    await page.keyboard.press(",");
    back.push(await frameAt(page, `01.${tenth}00`));
  }
  const streamsBack = streams - before;
  for (const tenth of [9, 8]) {
    await page.keyboard.press(",");
    back.push(await frameAt(page, `00.${tenth}00`));
  }
  const forth = [];
  for (const seconds of ["00.900", "01.000", "01.100"]) {
    await page.keyboard.press(".");
    forth.push(await frameAt(page, seconds));
  }
  const jumps = [];
  const keys = ["End 02.900", "Home 00.000", "ArrowRight 01.000", "ArrowRight 02.000", "ArrowLeft 01.000"];
  for (const [key, seconds] of keys.map((key) => key.split(" "))) {
    await page.keyboard.press(key);
    jumps.push(await frameAt(page, seconds));
  }
  // Faster than anybody looks: the last counts.
  for (let i = 0; i < 12; i++) await page.keyboard.press(i % 3 === 2 ? "," : ".");
  const hurried = await frameAt(page, "01.400");
  const tree = await page.locator(".panel.raw .content").innerText();

  const playing = {};
  for (const speed of ["1", "10"]) {
    await page.keyboard.press("Home");
    await frameAt(page, "00.000");
    await page.getByLabel("Speed").selectOption(speed);
    await page.evaluate(() => {
      globalThis.seen = [];
      const look = () => {
        const frame = globalThis.frameOf(document.querySelector(".panel.image canvas"));
        if (frame !== globalThis.seen.at(-1)) globalThis.seen.push(frame);
        globalThis.looking = requestAnimationFrame(look);
      };
      look();
    });
    await page.getByRole("button", { name: "Play" }).click();
    await frameAt(page, "02.900");
    playing[speed] = await page.evaluate(() => (cancelAnimationFrame(globalThis.looking), globalThis.seen));
  }
  const end = await clock(page);
  await page.context().close();
  return { middle, back, streamsBack, forth, jumps, hurried, tree, playing, end };
}

async function readsOtherFormats() {
  const page = await watcher();
  const topics = ["/h265", "/vp9", "/av1", "/damaged", "/late"];
  await page.goto(opened("2026-01-31T09:30:00.7Z", ...topics.map((topic) => `image:${topic}`)));
  const isH265Decoded = await page.evaluate(
    async () => (await VideoDecoder.isConfigSupported({ codec: "hev1.1.6.L30.90" })).supported,
  );
  const withoutFrame = isH265Decoded ? [] : ["/h265"];
  const seen = async (seconds, ...without) => {
    const seen = {};
    for (const topic of topics) {
      seen[topic] = await frameAt(page, seconds, topic, ![...withoutFrame, ...without].includes(topic));
    }
    return seen;
  };
  const early = await seen("00.700", "/late");
  await page.keyboard.press("ArrowRight");
  const later = await seen("01.700", "/damaged");
  await shot(page, "video-formats");
  await page.keyboard.press("ArrowRight");
  const last = await seen("02.700");
  await page.context().close();
  return { isH265Decoded, early, later, last };
}

await tell(async () => ({ ...(await goesBackAndForth()), ...(await readsOtherFormats()) }));
