// @ts-check
import { html } from "../html.js";
import { cards } from "../overview.js";

/** @import { Panel } from "../types.js" */

/** @param {Panel} panel */
export function packsView({ state, t }) {
  return html`<ul>${cards(state).map((card) => html`<li>${card.name} ${t(`state.${card.state}`)}</li>`)}</ul>`;
}
