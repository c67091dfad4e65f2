// @ts-check
/** One pack, opened: each of its environments, and its files. */

import { html, nothing, repeat } from "../html.js";
import { icon } from "../icons.js";
import { environmentsOf } from "../overview.js";
import { environmentView } from "./environment.js";
import { filesView } from "./files.js";
import { dotted, stateWord } from "./parts.js";

/** @import { Card } from "../overview.js" */
/** @import { Panel } from "../types.js" */

/**
 * @param {Panel} panel
 * @param {Card} card
 */
export function packView(panel, card) {
  const { state, t, show } = panel;
  const environments = environmentsOf(card, state);
  return html`<article class="pack is-${card.state}" aria-labelledby="opened">
    <header class="pack-head">
      <button type="button" class="plain" data-back aria-label=${t("pack.back")} title=${t("pack.back")} @click=${() => show({ section: "packs" })}>
        ${icon("back")}
      </button>
      <h2 id="opened" tabindex="-1" data-takes-focus>${card.name}</h2>
      ${stateWord(panel, card.state)}
    </header>
    <p class="quiet">
      ${dotted([card.nodes ? t("packs.nodes", { count: card.nodes }) : null, card.pack && html`<span class="mono path">${card.pack.path}</span>`])}
    </p>
    ${repeat(
      environments,
      ({ id, sites }) => id ?? sites[0]?.id,
      (one) => environmentView(panel, one, card.errors > 0),
    )}
    ${card.pack?.files.length ? filesView(panel, card.pack) : nothing}
  </article>`;
}
