// view_encodings.mjs <link> <topic>...
//
// Opens the viewer with the messages of each topic; prints what stands there as JSON, by the topics, and
// the size of the picture of the first one.
//
//   RDL_TEST_NODE_MODULES, RDL_TEST_CHROMIUM  where the packages lie, and the browser

import { pictured, pictureSize, shot, somebody, tell } from "./view/page.mjs";

const [link, ...topics] = process.argv.slice(2);

await tell(async () => {
  const page = await somebody();
  const panels = [`image:${topics[0]}`, ...topics.map((topic) => `raw:${topic}`)];
  const asked = new URLSearchParams(panels.map((panel) => ["panel", panel]));
  await page.goto(`${link}&${asked}`);
  await pictured(page);
  const seen = {};
  for (const topic of topics) {
    const panel = page.getByRole("region", { name: `raw ${topic}`, exact: true });
    await panel.locator(".age").waitFor();
    seen[topic] = await panel.locator(".content").innerText();
  }
  await shot(page, "encodings");
  return { messages: seen, picture: await pictureSize(page) };
});
