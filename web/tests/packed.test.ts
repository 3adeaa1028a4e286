import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

import { build } from "vite";
import { expect, test } from "vitest";

import { ASSETS, packed } from "../packed";

test("a page that is too large is not there, however often it is built", async () => {
  const root = await mkdtemp(join(tmpdir(), "viewer-"));
  const make = (bytesAtFirst: number, bytes: number) =>
    build({
      root,
      configFile: false,
      logLevel: "silent",
      plugins: [packed({ bytesAtFirst, bytes })],
      build: { assetsDir: ASSETS },
    });
  try {
    await mkdir(join(root, "src"));
    await writeFile(join(root, "index.html"), '<script type="module" src="/src/main.js"></script>');
    await writeFile(join(root, "src/main.js"), "document.title = 'some page';");
    await make(1000, 1000);
    const files = await readdir(join(root, "dist", ASSETS));
    const [script = ""] = files.filter((name) => name.endsWith(".js"));
    const read = (name: string) => readFile(join(root, "dist", ASSETS, name));
    expect(gunzipSync(await read(`${script}.gz`))).toEqual(await read(script));
    for (const [bytesAtFirst, bytes] of [[10, 1000], [1000, 10], [10, 10]] as const) {
      await expect(make(bytesAtFirst, bytes)).rejects.toThrow(/bytes come at first/);
      expect(await readdir(join(root, "dist"))).not.toContain("index.html");
    }
  } finally {
    await rm(root, { recursive: true });
  }
});
