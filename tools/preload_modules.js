// @ts-check
/** Writes into web/index.html which modules the page loads: `node tools/preload_modules.js` after adding or removing an import. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { loadedByPage, WEB } from "../tests/web/modules.js";

const LINKS = /( *<link rel="modulepreload" href="[^"]*" \/>\n)+/;

const page = join(WEB, "index.html");
const links = loadedByPage().map((name) => `    <link rel="modulepreload" href="web/${name}" />\n`);
writeFileSync(page, readFileSync(page, "utf-8").replace(LINKS, links.join("")));
