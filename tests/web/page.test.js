// @ts-check
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { suite, test } from "node:test";

import { loadedBy, loadedByPage, WEB } from "./modules.js";

const page = readFileSync(join(WEB, "index.html"), "utf-8");
const files = readdirSync(WEB, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => relative(WEB, join(entry.parentPath, entry.name)))
  .sort();
const ours = files.filter((name) => name.endsWith(".js") && !name.startsWith("vendor/"));

suite("the page", () => {
  test("asks for all its modules at once, and for no other", () => {
    const preloaded = [...page.matchAll(/rel="modulepreload" href="web\/([^"]+)"/g)].map((match) => match[1]);
    assert.deepEqual(preloaded, loadedByPage());
  });

  test("links only to files that are there, of this server", () => {
    for (const [, address] of page.matchAll(/(?:href|src)="([^"]+)"/g)) assert.ok(existsSync(join(WEB, "..", address)), address);
  });
});

suite("every module of ours", () => {
  for (const name of ours) {
    test(`${name} is checked, is short, and makes no markup of text`, () => {
      const text = readFileSync(join(WEB, name), "utf-8");
      assert.ok(text.startsWith("// @ts-check\n"), "its types are not checked");
      assert.doesNotMatch(text, /\b(?:innerHTML|outerHTML|insertAdjacentHTML|document\.write|unsafeHTML|eval)\b/);
      if (!name.startsWith("strings/")) assert.ok(text.split("\n").length <= 300, "more than 300 lines");
    });
  }
});

suite("the vendored library", () => {
  const vendored = files.filter((name) => name.startsWith("vendor/lit-html/"));

  test("is the released one, byte for byte, with its licence", () => {
    // Its entry for Node.js lies one folder below its root.
    const released = new URL("..", import.meta.resolve("lit-html"));
    for (const name of vendored) {
      const file = readFileSync(new URL(name.replace("vendor/lit-html/", ""), released));
      assert.ok(readFileSync(join(WEB, name)).equals(file), name);
    }
    assert.ok(vendored.includes("vendor/lit-html/LICENSE"));
  });

  test("holds nothing that is not used", () => {
    const used = loadedBy("html.js").filter((name) => name.startsWith("vendor/"));
    assert.deepEqual(vendored.filter((name) => name.endsWith(".js")), used);
  });
});
