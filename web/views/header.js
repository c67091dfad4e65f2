// @ts-check
import { html } from "../html.js";

/** @import { Panel } from "../types.js" */

/** @param {Panel} panel */
export function headerView({ t }) {
  return html`<header class="header"><h1>${t("frame.title")}</h1></header>`;
}
