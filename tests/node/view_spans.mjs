// view_spans.mjs <link> <topic that is opened> <topic> <from>
//
// Prints as JSON from where on a topic was seen to have data, one after the other,
// until it is from there, and what the page says of it when somebody points at it.
//
//   RDL_TEST_NODE_MODULES, RDL_TEST_CHROMIUM  where the packages lie, and the browser

import { shot, somebody, tell } from "./view/page.mjs";

const [link, open, topic, wanted] = process.argv.slice(2);

await tell(async () => {
  const page = await somebody();
  await page.goto(`${link}&panel=raw:${open}`);
  const row = page.locator(".topics li").filter({ hasText: topic });
  const from = () => row.locator(".span").evaluate(({ style }) => /[\d.]+%/.exec(style.backgroundImage)?.[0]);
  const froms = [await from()];
  while (froms.at(-1) !== wanted) {
    await page.waitForTimeout(50);
    const now = await from();
    if (now !== froms.at(-1)) froms.push(now);
  }
  await row.hover();
  await page.locator(".lane.pointed").waitFor();
  await shot(page, "spans");
  const lanes = await page.locator(".lane").evaluateAll((lanes) => lanes.map(({ dataset }) => dataset.topic));
  return { froms, lanes, title: await row.locator(".topic").getAttribute("title") };
});
