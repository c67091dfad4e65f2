// @ts-check
import { html } from "../html.js";

/** @import { Panel } from "../types.js" */

/** @param {Panel} panel */
export function workersView({ t }) {
  return html`<p class="quiet">${t("frame.loading")}</p>`;
}
