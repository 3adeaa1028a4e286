// view_handing_on.mjs <address of the demo> <the same, by a name of another host>
//
// Hands on what is selected of the demo's drive; prints as JSON what was opened and copied. Nothing is
// asked of other hosts.
//
//   RDL_TEST_NODE_MODULES, RDL_TEST_CHROMIUM  where the packages lie, and the browser

import { clock, pictured, shot, somebody, tell } from "./view/page.mjs";

const [demo, sameElsewhere] = process.argv.slice(2);
const AT = "2026-01-31T09:30:10Z";
const PLAIN = `${demo}/view?ds.recording=demo-drive&at=${AT}`;
const TEN_SECONDS = `start=${AT}&end=2026-01-31T09:30:20Z&topics=/imu`;
const permissions = ["clipboard-read", "clipboard-write"];

async function opened(page, button) {
  const [tab] = await Promise.all([page.waitForEvent("popup"), page.getByRole("button", { name: button }).click()]);
  await tab.waitForURL(/^https/);
  const url = new URL(tab.url());
  await tab.close();
  return { url: url.href, ds: url.searchParams.get("ds"), file: url.searchParams.get("ds.url") };
}

async function copied(page, button) {
  await page.evaluate(() => navigator.clipboard.writeText(""));
  await page.getByRole("button", { name: button }).click();
  for (;;) {
    const text = await page.evaluate(() => navigator.clipboard.readText());
    if (text !== "") return text;
  }
}

await tell(async () => {
  const page = await somebody({ permissions });
  const context = page.context();
  await context.route(
    (url) => url.hostname !== "127.0.0.1",
    (route) => route.fulfill({ contentType: "text/html", body: "<title>Another viewer</title>" }),
  );
  await page.goto(PLAIN);
  await pictured(page);
  await page.getByRole("button", { name: "Hand on" }).click();
  const foxglove = await opened(page, "Open in Foxglove");

  await page.goto(`${PLAIN}&${TEN_SECONDS}`);
  await pictured(page);
  await page.getByRole("button", { name: "Hand on" }).click();
  await page.getByLabel("Address of your Lichtblick").fill("https://lichtblick.test/");
  const lichtblick = await opened(page, "Open in Lichtblick");
  const curl = await copied(page, "Copy curl");
  const python = await copied(page, "Copy Python");
  const copiedLink = await copied(page, "Copy link to this moment");
  const other = await context.newPage();
  await other.goto(copiedLink);
  await pictured(other);
  const clockOfTheLink = await clock(other);
  await context.close();

  // The browser does not copy here.
  const plain = await somebody({ permissions });
  await plain.goto(`${PLAIN.replace(demo, sameElsewhere)}&${TEN_SECONDS}`);
  await pictured(plain);
  await plain.getByRole("button", { name: "Hand on" }).click();
  await plain.getByRole("button", { name: "Copy curl" }).click();
  const area = plain.getByLabel("To be copied by hand");
  await area.waitFor();
  const byHand = await area.inputValue();
  const byHandSelected = await area.evaluate(
    (area) => area === document.activeElement && area.selectionEnd - area.selectionStart === area.value.length,
  );
  const byHandSaid = await plain.locator(".said").innerText();
  await shot(plain, "by-hand");
  await plain.keyboard.press("Control+c");
  const reader = await plain.context().newPage();
  await reader.goto(demo);
  const byHandCopied = await reader.evaluate(() => navigator.clipboard.readText());
  await plain.context().close();
  return {
    foxglove,
    lichtblick,
    curl,
    python,
    copiedLink,
    clockOfTheLink,
    byHand,
    byHandSelected,
    byHandSaid,
    byHandCopied,
  };
});
