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
  if (!needs?.packs.some(isAnythingMissing)) return nothing;
  return html`<section class="prerequisites">
    <h3>${t("notices.prerequisites")}</h3>
    <p class="quiet">${t("notices.prerequisites_mean")}</p>
    ${needs.packs.filter(isAnythingMissing).map((one) => missingView(panel, one, needs.commands.filter(({ pack }) => pack === one.pack)))}
  </section>`;
}

/** @param {Prerequisites["packs"][number]} needs of one pack; mistakes in its files are told of on its card */
function isAnythingMissing({ system, node_packs }) {
  return Boolean(system?.missing.length || system?.problem) || node_packs.some(({ state }) => state === "missing");
}

/**
 * @param {Panel} panel
 * @param {Prerequisites["packs"][number]} needs
 * @param {Prerequisites["commands"]} commands for this pack
 */
function missingView(panel, { pack, system, node_packs }, commands) {
  const { t } = panel;
  const commandFor = (/** @type {"system" | "node_packs"} */ what) => {
    const found = commands.find(({ installs }) => installs === what);
    return found ? copyable(panel, found.command) : nothing;
  };
  const missing = node_packs.filter(({ state }) => state === "missing").map(({ directory }) => directory);
  return note(
    "warning",
    html`<p><strong>${pack}</strong></p>
      ${system?.problem ? html`<p>${system.problem}</p>` : nothing}
      ${system?.missing.length
        ? html`<p>${t("notices.system", { names: system.missing.join(", ") })}</p>
            ${commandFor("system")}`
        : nothing}
      ${missing.length
        ? html`<p>${t("notices.node_packs", { names: missing.join(", ") })}</p>
            ${commandFor("node_packs")}`
        : nothing}`,
  );
}
