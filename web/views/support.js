// @ts-check
/** What somebody who helps has to know: versions, and everything else in one file to send. */

import { html, nothing } from "../html.js";
import { icon } from "../icons.js";

/** @import { Panel } from "../types.js" */

/** @param {Panel} panel */
export function supportView(panel) {
  const { server, t } = panel;
  return html`<section class="help-part">
      <h2>${t("support.title")}</h2>
      <p>${t("support.means")}</p>
      <p class="quiet">${t("support.redacted")}</p>
      <div class="actions">
        <a class="button" href=${server.url("/support-bundle")} download>${icon("download")}${t("support.download")}</a>
      </div>
    </section>
    ${aboutView(panel)}`;
}

/** @param {Panel} panel */
function aboutView({ server, state, t }) {
  const { comfyui_version, engine, platform, python, store, version } = state.status;
  const used = [engine.last_used, engine.last_version].filter(Boolean).join(" ");
  const facts = [
    ["comfy-env manager", version],
    ["ComfyUI", comfyui_version],
    ["Python", python],
    [t("support.platform"), platform],
    [t("support.engine"), used || engine.setting],
    [t("support.store"), store.root],
  ];
  return html`<section class="help-part">
    <h2>${t("support.about")}</h2>
    <dl class="facts">
      ${facts.map(([name, value]) => (value ? html`<dt>${name}</dt><dd class="path">${value}</dd>` : nothing))}
    </dl>
    <ul class="links">
      <li><a href=${server.url("/")} target="_blank" rel="noopener">${t("support.own_page")}</a></li>
      <li><a href=${server.url("/openapi.json")} target="_blank" rel="noopener">${t("support.api")}</a></li>
    </ul>
  </section>`;
}
