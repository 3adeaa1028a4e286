// view_plot.mjs <link> <field>...
//
// Plots the fields over all of the recording and plays it at the speed of ten to its end; prints as JSON
// how many lines have values, and how long frames took until all were drawn, and while it played.
//
//   RDL_TEST_NODE_MODULES, RDL_TEST_CHROMIUM  where the packages lie, and the browser

import { framesOf, shot, somebody, tell, watchFrames } from "./view/page.mjs";

const [link, ...fields] = process.argv.slice(2);

await tell(async () => {
  const page = await somebody();
  await page.goto(`${link}&${new URLSearchParams({ panel: `plot:${fields.join(" ")}` })}`);
  await watchFrames(page);
  await page.waitForFunction(() => {
    const values = [...document.querySelectorAll(".lines .mono")];
    return values.length > 0 && values.every(({ textContent }) => textContent !== "");
  });
  const drawn = await framesOf(page);
  await watchFrames(page);
  await page.getByLabel("Speed").selectOption("10");
  await page.getByRole("button", { name: "Play" }).click();
  await page.getByRole("button", { name: "Pause" }).waitFor();
  await page.getByRole("button", { name: "Play" }).waitFor();
  await shot(page, "plot");
  const lines = await page.locator(".lines .name").count();
  return { lines, clock: await page.locator(".clock").innerText(), drawn, played: await framesOf(page) };
});
