// @ts-check
/**
 * The one place that imports the rendering library: lit-html, vendored with its licence under vendor/lit-html.
 *
 * Texts that are put into a template become text nodes and attribute values, never markup. Nothing that would turn text
 * into markup is exported, or vendored.
 */

import * as lit from "./vendor/lit-html/lit-html.js";
import * as lives from "./vendor/lit-html/directives/live.js";
import * as refs from "./vendor/lit-html/directives/ref.js";
import * as repeats from "./vendor/lit-html/directives/repeat.js";

/** @typedef {import("lit-html").TemplateResult} TemplateResult */

// The vendored files carry no types; those of the package, which is installed where types are checked, are theirs.
export const html = /** @type {typeof import("lit-html").html} */ (lit.html);
export const svg = /** @type {typeof import("lit-html").svg} */ (lit.svg);
export const nothing = /** @type {typeof import("lit-html").nothing} */ (/** @type {unknown} */ (lit.nothing));
export const render = /** @type {typeof import("lit-html").render} */ (lit.render);
export const live = /** @type {typeof import("lit-html/directives/live.js").live} */ (lives.live);
export const ref = /** @type {typeof import("lit-html/directives/ref.js").ref} */ (refs.ref);
export const repeat = /** @type {typeof import("lit-html/directives/repeat.js").repeat} */ (repeats.repeat);
