// view_playing.mjs <address of the demo>
//
// Plays the demo's drive in a loop, at other speeds, message by message, and by the keyboard alone;
// prints as JSON what was seen.
//
//   RDL_TEST_NODE_MODULES, RDL_TEST_CHROMIUM  where the packages lie, and the browser

import { clock, pictured, somebody, tell } from "./view/page.mjs";

const [demo] = process.argv.slice(2);
const link = (seconds, more = "") =>
  `${demo}/view?ds.recording=demo-drive&at=2026-01-31T09:30:${seconds}Z&panel=image:/camera/image&panel=raw:/odom${more}`;

async function opened(url) {
  const page = await somebody();
  await page.goto(url);
  await pictured(page);
  await page.locator(".panel.raw .age").waitFor();
  return page;
}

// The seconds on the clock at each frame.
function watchClock(page) {
  return page.evaluate(() => {
    globalThis.seconds = [];
    const look = () => {
      globalThis.seconds.push(Number(document.querySelector(".clock").textContent.slice(6)));
      requestAnimationFrame(look);
    };
    look();
  });
}

async function looped() {
  const page = await opened(link("11", "&start=2026-01-31T09:30:10Z&end=2026-01-31T09:30:12Z"));
  await page.getByLabel("Loop").check();
  await watchClock(page);
  await page.getByRole("button", { name: "Play" }).click();
  await page.waitForFunction(
    () => seconds.filter((now, i) => i > 0 && now < seconds[i - 1]).length >= 2 && seconds.at(-1) > 11.5,
  );
  const seen = await page.evaluate(() => ({
    least: Math.min(...seconds),
    most: Math.max(...seconds),
    loops: seconds.filter((now, i) => i > 0 && now < seconds[i - 1]).length,
  }));
  await page.context().close();
  return seen;
}

async function speeds() {
  const page = await opened(link("05"));
  const seen = {};
  for (const speed of ["0.1", "10"]) {
    await page.getByLabel("Speed").selectOption(speed);
    await page.getByRole("button", { name: "Play" }).click();
    // By the page's own clock, once it plays.
    seen[speed] = await page.evaluate(async () => {
      const now = () => Number(document.querySelector(".clock").textContent.slice(6));
      const moved = async (from) => {
        while (now() === from) await new Promise(requestAnimationFrame);
      };
      await moved(now());
      const [from, begun] = [now(), performance.now()];
      await new Promise((resolve) => setTimeout(resolve, 1000));
      await moved(now());
      return ((now() - from) * 1000) / (performance.now() - begun);
    });
    await page.getByRole("button", { name: "Pause" }).click();
  }
  await page.context().close();
  return seen;
}

async function steps() {
  const page = await opened(link("30"));
  const stepped = [];
  for (const key of [".", ".", ",", ","]) {
    const before = await clock(page);
    await page.keyboard.press(key);
    await page.waitForFunction((before) => document.querySelector(".clock").textContent !== before, before);
    stepped.push(await clock(page));
  }
  const track = page.getByRole("slider", { name: "Moment" });
  const { x, y, width } = await track.boundingBox();
  await page.keyboard.down("Shift");
  await page.mouse.move(x + width / 4, y + 10);
  await page.mouse.down();
  await page.mouse.move(x + width / 3, y + 10);
  await page.mouse.move(x + width / 2, y + 10);
  await page.mouse.up();
  await page.keyboard.up("Shift");
  const selected = page.locator(".selection");
  await selected.waitFor();
  const dragged = { clock: await clock(page), selected: await selected.innerText() };
  await page.context().close();
  return { stepped, dragged };
}

const named = (element) =>
  element.getAttribute("aria-label") ?? element.labels?.[0]?.innerText.trim() ?? (element.innerText.trim() || element.title);

// Everything that can be used is reached by the tab key, and it is seen where the focus is.
async function keyboard() {
  const page = await opened(link("30", "&start=2026-01-31T09:30:10Z&panel=plot:/odom.pose.position.x"));
  await page.evaluate(`globalThis.named = ${named}`);
  const seen = await page.evaluate(() =>
    [...document.querySelectorAll("button, input, select, [tabindex='0']")]
      .filter((element) => element.checkVisibility() && !element.disabled)
      .map(named),
  );
  const reached = [];
  const unseen = [];
  for (;;) {
    await page.keyboard.press("Tab");
    const focus = await page.evaluate(() => {
      const element = document.activeElement;
      if (element === document.body || element.dataset.seen) return undefined;
      element.dataset.seen = "yes";
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      const { x, y, width, height } = element.getBoundingClientRect();
      const isSeen =
        outlineStyle !== "none" &&
        parseFloat(outlineWidth) >= 1 &&
        element.checkVisibility({ opacityProperty: true }) &&
        x + width > 0 && x < innerWidth && y + height > 0 && y < innerHeight;
      return { name: named(element), isSeen };
    });
    if (focus === undefined) break;
    reached.push(focus.name);
    if (!focus.isSeen) unseen.push(focus.name);
  }
  const order = ["Filter topics", "Moment"].sort((a, b) => reached.indexOf(a) - reached.indexOf(b));

  // A file, without the mouse.
  const press = async (name) => {
    await page.getByRole("button", { name }).focus();
    await page.keyboard.press("Enter");
  };
  await press("Hand on");
  await page.keyboard.press("Tab");
  const [download] = await Promise.all([page.waitForEvent("download"), press("Download as MCAP")]);
  const downloaded = download.suggestedFilename();
  await page.keyboard.press("Escape");
  await page.context().close();
  const missed = seen.filter((name) => !reached.includes(name));
  return { reached, missed, unseen, order, downloaded };
}

await tell(async () => {
  const [loop, speed, step] = await Promise.all([looped(), speeds(), steps()]);
  return { looped: loop, speeds: speed, ...step, keyboard: await keyboard() };
});
