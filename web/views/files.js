// @ts-check
/** A pack's files as they are on the disk, with what is wrong in them said at its line. */

import { html, nothing } from "../html.js";
import { icon } from "../icons.js";
import { disclosure, note } from "./parts.js";

/** @import { PackFile, PackJson, Panel, Problem } from "../types.js" */

/**
 * @param {Panel} panel
 * @param {PackJson} pack
 */
export function filesView(panel, pack) {
  return html`<section class="files">${pack.files.map((file) => fileView(panel, pack, file))}</section>`;
}

/**
 * @param {Panel} panel
 * @param {PackJson} pack
 * @param {PackFile} file
 */
function fileView(panel, pack, file) {
  const { t, target } = panel;
  const errors = file.problems.filter(({ level }) => level === "error").length;
  const warnings = file.problems.length - errors;
  const extra = html`${errors ? html`<span class="state is-failed">${icon("failed")}${t("files.errors", { count: errors })}</span>` : nothing}
  ${warnings ? html`<span class="state is-warning">${icon("warning")}${t("packs.warnings", { count: warnings })}</span>` : nothing}`;
  return disclosure(panel, {
    key: `file ${pack.name} ${file.path}`,
    part: "file",
    title: html`<span class="mono">${file.path}</span>`,
    extra,
    // A lock has thousands of lines that nobody wrote.
    isOpen: errors > 0 || (Boolean(target.file) && file.kind !== "lock"),
    content: () => textView(panel, file),
  });
}

/**
 * @param {Panel} panel
 * @param {PackFile} file
 */
function textView(panel, { text, problems, path }) {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  const atNoLine = problems.filter(({ line }) => line === null || line > lines.length);
  return html`
    ${atNoLine.map((problem) => problemView(problem))}
    <div class="listing" tabindex="0" role="region" aria-label=${path}>
      ${lines.map((line, at) => lineView(line, at + 1, problems.filter((problem) => problem.line === at + 1)))}
    </div>
  `;
}

/**
 * @param {string} line
 * @param {number} number
 * @param {Problem[]} problems
 */
function lineView(line, number, problems) {
  const worst = problems.some(({ level }) => level === "error") ? "is-failed" : problems.length ? "is-warning" : "";
  return html`<div class="line ${worst}"><span class="line-number" aria-hidden="true">${number}</span><code>${line || " "}</code></div>
    ${problems.map(problemView)}`;
}

/** @param {Problem} problem */
function problemView({ level, problem, remedy }) {
  return note(level === "error" ? "failed" : "warning", html`<p>${problem}</p>${remedy ? html`<p class="quiet">${remedy}</p>` : nothing}`);
}
