// @ts-check
/** Which modules a module loads, read from its import statements. */

import { readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const WEB = resolve(dirname(fileURLToPath(import.meta.url)), "../../web");

const IMPORT = /^(?:import|export)\b[^"';]*?from\s*"([^"]+)"|^import\s*"([^"]+)"/gm;
/** The vendored files are one line each. */
const MINIFIED_IMPORT = /\bfrom"([^"]+)"/g;

/**
 * @param {string} entry below web/
 * @returns {string[]} everything it loads, itself included, as paths below web/, sorted
 */
export function loadedBy(entry) {
  const found = new Set([entry]);
  for (const module of found) {
    for (const imported of importsOf(module)) found.add(relative(WEB, join(WEB, dirname(module), imported)));
  }
  return [...found].sort();
}

/** What the page loads before anything of it can be used: first what asks the server, then what shows its answer. */
export function loadedByPage() {
  return [...new Set(["page.js", "panel.js"].flatMap((entry) => loadedBy(entry)))].filter((name) => name !== "page.js");
}

/** @param {string} module */
function importsOf(module) {
  const text = readFileSync(join(WEB, module), "utf-8");
  const matches = text.matchAll(module.startsWith("vendor/") ? MINIFIED_IMPORT : IMPORT);
  return [...matches].map((match) => match[1] ?? match[2]);
}
