// @ts-check
/** All packs at a glance, and the one that was opened beside or above them. */

import { html, nothing, repeat } from "../html.js";
import { icon } from "../icons.js";
import { grouped, groupOf, matches } from "../overview.js";
import { cardView } from "./card.js";
import { emptyView } from "./empty.js";
import { noticesView } from "./notices.js";
import { packView } from "./pack.js";

/** @import { Card, Group } from "../overview.js" */
/** @import { Panel } from "../types.js" */

/** From so many packs on, looking for one is quicker by typing. */
const MANY = 6;

/** @param {Panel} panel */
export function packsView(panel) {
  const { cards: all, target, t } = panel;
  const opened = all.find((card) => isOpened(card, panel));
  if (all.length === 0) return html`${emptyView(panel)} ${noticesView(panel)}`;
  return html`<div class="packs ${opened ? "has-opened" : ""}">
    <div class="packs-list">
      ${all.length >= MANY ? filterField(panel) : nothing} ${list(panel, all, opened)} ${opened ? nothing : noticesView(panel)}
    </div>
    ${opened ? packView(panel, opened) : nothing}
    ${target.pack && !opened ? html`<p class="quiet">${t("packs.gone", { pack: target.pack })}</p>` : nothing}
  </div>`;
}

/**
 * @param {Card} card
 * @param {Panel} panel
 */
function isOpened(card, { target }) {
  if (target.pack) return card.name === target.pack;
  return target.environment !== undefined && card.sites.some((site) => site.environment_id === target.environment);
}

/** @param {Panel} panel */
function filterField(panel) {
  const { t, ui } = panel;
  const onInput = (/** @type {Event} */ event) => {
    ui.words = /** @type {HTMLInputElement} */ (event.target).value;
    panel.redraw();
  };
  return html`<label class="search">
    ${icon("search")}
    <input class="field" type="search" aria-label=${t("packs.filter")} placeholder=${t("packs.filter")} .value=${ui.words ?? ""} @input=${onInput} />
  </label>`;
}

/**
 * @param {Panel} panel
 * @param {Card[]} all
 * @param {Card | undefined} opened
 */
function list(panel, all, opened) {
  const { t, ui } = panel;
  const words = (ui.words ?? "").trim();
  const shown = words ? all.filter((card) => matches(card, words, t)) : all;
  if (shown.length === 0) return html`<p class="quiet">${t("packs.none_matches", { words })}</p>`;
  // Headings are items of the one list: a pack that passes from one group to the next keeps its card, and the focus in it.
  return html`<ul class="cards" aria-label=${t("section.packs")}>
    ${repeat(
      withHeadings(shown),
      (item) => item.key,
      ({ card, group, count }) => (card ? cardView(panel, card, opened) : headingView(panel, group, count)),
    )}
  </ul>`;
}

/**
 * @param {Card[]} shown in their order
 * @returns {{ key: string, card?: Card, group: Group, count: number }[]}
 */
function withHeadings(shown) {
  const groups = grouped(shown, groupOf);
  return [...groups].flatMap(([group, cards]) => [
    { key: `group ${group}`, group, count: cards.length },
    ...cards.map((card) => ({ key: `pack ${card.name}`, card, group, count: 1 })),
  ]);
}

/**
 * @param {Panel} panel
 * @param {Group} group
 * @param {number} count
 */
function headingView({ t, format }, group, count) {
  return html`<li class="group"><h2>${t(`group.${group}`)}</h2><span class="quiet">${format.number(count)}</span></li>`;
}
