// @ts-check
/** What concerns no single card: files that cannot be read, packs that were passed over, what packs ask for beside environments. */

import { html, nothing } from "../html.js";
import { Fetched } from "./fetched.js";
import { copyable, disclosure, note } from "./parts.js";

/** @import { Panel, Prerequisites } from "../types.js" */

/** @param {Panel} panel */
export function noticesView(panel) {
  return html`<div class="notices">${storeView(panel)} ${mistakesView(panel)} ${prerequisitesView(panel)} ${skippedView(panel)}</div>`;
}

/** @param {Panel} panel */
function storeView({ state }) {
  const { problem } = state.status.store;
  return problem ? note("failed", problem) : nothing;
}

/** @param {Panel} panel */
function mistakesView({ state, t }) {
  const { mistakes } = state.status;
  if (mistakes.length === 0) return nothing;
  return html`<section>
    <h3>${t("notices.mistakes", { count: mistakes.length })}</h3>
    ${mistakes.map(({ path, problem, remedy }) => note("failed", html`<p class="mono path">${path}</p><p>${problem} ${remedy}</p>`))}
  </section>`;
}

/** @param {Panel} panel */
function skippedView(panel) {
  const { skipped } = panel.state.status;
  if (skipped.length === 0) return nothing;
  return disclosure(panel, {
    key: "skipped",
    title: panel.t("notices.skipped"),
    extra: panel.format.number(skipped.length),
    content: () =>
      html`<ul class="plain-list">${skipped.map(({ name, reason }) => html`<li><strong>${name}</strong> <span class="quiet">${reason}</span></li>`)}</ul>`,
  });
}

/** @param {Panel} panel */
function prerequisitesView(panel) {
  const { keep, model, redraw, state, t } = panel;
  const loading = keep("prerequisites", () => new Fetched(() => model.loadPrerequisites(), redraw));
  if (loading.error !== undefined) return loading.view(panel, () => nothing);
  const needs = state.prerequisites;
  if (!needs || !isAnythingMissing(needs)) return nothing;
  return html`<section class="prerequisites">
    <h3>${t("notices.prerequisites")}</h3>
    <p class="quiet">${t("notices.prerequisites_mean")}</p>
    ${needs.packs.map(({ pack, system, node_packs }) => missingOf(panel, pack, system, node_packs, commandOf(needs, pack)))}
    ${needs.unreadable.map((text) => note("warning", text))}
  </section>`;
}

/** @param {Prerequisites} needs */
function isAnythingMissing({ packs, unreadable }) {
  return (
    unreadable.length > 0 ||
    packs.some(({ system, node_packs }) => system?.missing.length || system?.problem || node_packs.some((one) => one.state === "missing"))
  );
}

/**
 * @param {Prerequisites} needs
 * @param {string} pack
 */
function commandOf(needs, pack) {
  return needs.commands.find((one) => one.pack === pack)?.command ?? null;
}

/**
 * @param {Panel} panel
 * @param {string} pack
 * @param {Prerequisites["packs"][number]["system"]} system
 * @param {Prerequisites["packs"][number]["node_packs"]} nodePacks
 * @param {string | null} command
 */
function missingOf(panel, pack, system, nodePacks, command) {
  const { t } = panel;
  const missing = nodePacks.filter(({ state }) => state === "missing");
  if (!system?.missing.length && !system?.problem && missing.length === 0) return nothing;
  return note(
    "warning",
    html`<p><strong>${pack}</strong></p>
      ${system?.problem ? html`<p>${system.problem}</p>` : nothing}
      ${system?.missing.length ? html`<p>${t("notices.system", { names: system.missing.join(", ") })}</p>` : nothing}
      ${command ? copyable(panel, command) : nothing}
      ${missing.map(({ directory, address }) => html`<p>${t("notices.node_pack", { name: directory })}</p>${copyable(panel, address)}`)}`,
  );
}
