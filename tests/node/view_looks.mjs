// view_looks.mjs <address of the demo>
//
// Takes pictures of the demo's drive and compares them with those that are stored; prints as JSON, by their
// names, the share of pixels that differ visibly; none: there is no picture of this size.
//
//   RDL_TEST_NODE_MODULES, RDL_TEST_CHROMIUM  where the packages lie, and the browser
//   STORED              the folder of the pictures
//   SEEN                a folder for those that differ, as `<name>.png`, and what differs, as `<name>.diff.png`
//   UPDATE_SCREENSHOTS  `1`: stores what is seen

import { readFile, rm, writeFile } from "node:fs/promises";

import { browser, pictured, somebody, tell } from "./view/page.mjs";

const { STORED, SEEN, UPDATE_SCREENSHOTS } = process.env;
const [demo] = process.argv.slice(2);
const WIDE = { width: 1024, height: 640 };
// What a person sees: more of a colour, of 255.
const VISIBLE = 48;

const link = (panels) => {
  const asked = new URLSearchParams(panels.map((panel) => ["panel", panel]));
  return `${demo}/view?ds.recording=demo-drive&at=2026-01-31T09:30:20Z&${asked}`;
};
const USUAL = link(["image:/camera/image", "raw:/odom", "log:/log"]);
const PICTURES = {
  light: [USUAL, {}],
  dark: [USUAL, { colorScheme: "dark" }],
  phone: [USUAL, { viewport: { width: 390, height: 780 }, hasTouch: true }],
  plot: [link(["plot:/odom.pose.position.x /odom.linear_velocity.x /imu.linear_acceleration.z", "log:/log"]), { viewport: { width: 900, height: 520 } }],
};

// The fonts that are installed with the browser, whatever else the machine has.
function useKnownFonts() {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    :root { --mono: "DejaVu Sans Mono"; font-family: "DejaVu Sans"; }
    * { caret-color: transparent !important; }`);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}

// Everything is there, and nothing moves any more.
async function settled(page) {
  await page.evaluate(async () => {
    const isBusy = () => /…/.test(document.querySelector(".page")?.innerText ?? "…");
    for (let still = 0, last = ""; still < 10; ) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      const now = document.querySelector(".page")?.innerHTML ?? "";
      still = now === last && !isBusy() ? still + 1 : 0;
      last = now;
    }
  });
}

async function taken([url, options]) {
  const page = await somebody({ viewport: WIDE, deviceScaleFactor: 1, reducedMotion: "reduce", ...options });
  await page.goto(url);
  await page.evaluate(useKnownFonts);
  if (url === USUAL) await pictured(page);
  await page.evaluate(() => window.dispatchEvent(new Event("resize")));
  await settled(page);
  const png = await page.screenshot({ animations: "disabled", caret: "hide" });
  await page.context().close();
  return png;
}

// In a page, which can read PNG.
async function compared(one, other) {
  const page = await (await browser.newContext()).newPage();
  const urls = [one, other].map((png) => `data:image/png;base64,${png.toString("base64")}`);
  const seen = await page.evaluate(
    async ({ urls, visible }) => {
      const canvas = document.createElement("canvas");
      const context = canvas.getContext("2d");
      const pictures = [];
      for (const url of urls) {
        const image = new Image();
        image.src = url;
        await image.decode();
        [canvas.width, canvas.height] = [image.width, image.height];
        context.drawImage(image, 0, 0);
        pictures.push(context.getImageData(0, 0, image.width, image.height));
      }
      const [one, other] = pictures;
      if (one.width !== other.width || one.height !== other.height) return {};
      let count = 0;
      for (let i = 0; i < one.data.length; i += 4) {
        const differs = [0, 1, 2].some((colour) => Math.abs(one.data[i + colour] - other.data[i + colour]) > visible);
        count += Number(differs);
        // What differs in red on a shade of what was.
        other.data.set(differs ? [220, 0, 0, 255] : [0, 1, 2].map((colour) => 200 + one.data[i + colour] / 5), i);
      }
      context.putImageData(other, 0, 0);
      return { differs: (count * 4) / one.data.length, picture: canvas.toDataURL().split(",")[1] };
    },
    { urls, visible: VISIBLE },
  );
  await page.context().close();
  return seen;
}

await tell(async () => {
  // All of it is loaded, so that nothing comes along.
  await (await fetch(`${demo}/v1/stream?ds.recording=demo-drive`)).arrayBuffer();
  const pictures = {};
  const look = async ([name, what]) => {
    const png = await taken(what);
    const stored = `${STORED}/${name}.png`;
    if (UPDATE_SCREENSHOTS === "1") await writeFile(stored, png);
    const before = await readFile(stored).catch(() => undefined);
    const { differs, picture } = before === undefined ? {} : await compared(before, png);
    pictures[name] = { differs, bytes: png.length };
    const files = { [`${SEEN}/${name}.png`]: png, [`${SEEN}/${name}.diff.png`]: picture && Buffer.from(picture, "base64") };
    for (const [file, content] of Object.entries(files)) {
      if (differs === 0 || content === undefined) await rm(file, { force: true });
      else await writeFile(file, content);
    }
  };
  await Promise.all(Object.entries(PICTURES).map(look));
  return { pictures };
});
