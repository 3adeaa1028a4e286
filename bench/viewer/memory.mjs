// memory.mjs [minutes] [address of a demo]
//
// Plays the demo's drive in a loop at the speed of ten, and prints every ten seconds what the tab holds: the
// page's JavaScript heap after a collection, its DOM nodes, and the resident memory of the browser's
// processes. Without an address it starts target/release/remote-data-loader.
//
//   RDL_TEST_NODE_MODULES, RDL_TEST_CHROMIUM  where the packages lie, and the browser

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

import { browser, framesOf, pictured, somebody, watchFrames } from "../../tests/node/view/page.mjs";

const [minutes = "10", address] = process.argv.slice(2);
const EVERY_MS = 10_000;
const FIELDS = "/odom.pose.position.x /odom.linear_velocity.x /imu.linear_acceleration.z";
const PANELS = ["image:/camera/image", "raw:/lidar/points", "raw:/imu", "log:/log", `plot:${FIELDS}`];

async function start() {
  const env = { ...process.env, ADDRESS: "127.0.0.1:0" };
  const demo = spawn("target/release/remote-data-loader", ["demo"], { env, stdio: ["ignore", "pipe", "inherit"] });
  process.on("exit", () => demo.kill());
  for await (const line of createInterface({ input: demo.stdout })) {
    const [found] = /http:\/\/127\.0\.0\.1:\d+/.exec(line) ?? [];
    if (found !== undefined) return { demo, address: found };
  }
  throw new Error("the demo says no address");
}

const mib = (bytes) => (bytes / 1024 / 1024).toFixed(1).padStart(7);

function residentBytes(pid) {
  const [, kib] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(kib) * 1024;
}

const started = address === undefined ? await start() : { address };
try {
  const page = await somebody();
  const asked = new URLSearchParams(PANELS.map((panel) => ["panel", panel]));
  await page.goto(`${started.address}/view?ds.recording=demo-drive&${asked}`);
  await pictured(page);
  await page.getByLabel("Loop").check();
  await page.getByLabel("Speed").selectOption("10");
  const tab = await page.context().newCDPSession(page);
  await tab.send("Performance.enable");
  const whole = await browser.newBrowserCDPSession();
  await page.getByRole("button", { name: "Play" }).click();
  console.log("seconds  heap MiB  nodes  renderers MiB  others MiB  frames: median, longest ms");
  const begun = Date.now();
  while (Date.now() - begun < Number(minutes) * 60_000) {
    await watchFrames(page);
    await page.waitForTimeout(EVERY_MS);
    const { medianFrameMs, longestFrameMs } = await framesOf(page);
    await tab.send("HeapProfiler.collectGarbage");
    const { metrics } = await tab.send("Performance.getMetrics");
    const value = (wanted) => metrics.find(({ name }) => name === wanted).value;
    const { processInfo } = await whole.send("SystemInfo.getProcessInfo");
    const resident = { renderer: 0, others: 0 };
    for (const { id, type } of processInfo) {
      resident[type === "renderer" ? "renderer" : "others"] += residentBytes(id);
    }
    console.log(
      String(Math.round((Date.now() - begun) / 1000)).padStart(7),
      ` ${mib(value("JSHeapUsedSize"))}`,
      String(value("Nodes")).padStart(6),
      `       ${mib(resident.renderer)}    ${mib(resident.others)} `,
      `${medianFrameMs.toFixed(1)}, ${longestFrameMs.toFixed(1)}`,
    );
  }
} finally {
  await browser.close();
  started.demo?.kill();
}
