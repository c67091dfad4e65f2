// @ts-check
/** Writes into web/index.html which modules the page loads: `node tools/preload_modules.js` after adding or removing one. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { loadedBy, WEB } from "../tests/web/modules.js";

const LINKS = /( *<link rel="modulepreload" href="[^"]*" \/>\n)+/;

const page = join(WEB, "index.html");
const modules = loadedBy("page.js").filter((name) => name !== "page.js");
const links = modules.map((name) => `    <link rel="modulepreload" href="web/${name}" />\n`);
writeFileSync(page, readFileSync(page, "utf-8").replace(LINKS, links.join("")));
