// @ts-check
/** What stands around every section: the header, what went wrong, and the switch between sections. */

import { html, nothing } from "../html.js";
import { icon } from "../icons.js";
import { SECTIONS } from "../sections.js";
import { headerView } from "./header.js";
import { jobsView } from "./jobs.js";
import { wordsOf } from "../words.js";

/** @import { Sections } from "../sections.js" */
/** @import { Panel, Section } from "../types.js" */

/**
 * @param {Panel} panel
 * @param {Sections} sections
 * @param {{ message: string, remedy: string } | null} failure of the last thing that was asked for
 * @param {() => void} forget the failure
 */
export function frameView(panel, sections, failure, forget) {
  const { state, target } = panel;
  return html`
    ${state.phase === "loading" ? nothing : headerView(panel)}
    ${tabs(panel)}
    ${lostBanner(panel)} ${failureBanner(panel, failure, forget)} ${readOnlyBanner(panel)} ${jobsView(panel)}
    <main role="tabpanel" id="section" aria-labelledby="tab-${target.section}" data-section=${target.section}>
      ${state.phase === "loading" ? loading(panel) : sectionView(panel, sections)}
    </main>
  `;
}

/**
 * @param {Panel} panel
 * @param {Sections} sections
 */
function sectionView(panel, sections) {
  const { t, target } = panel;
  try {
    const views = sections.views(target.section);
    return views ? views.map((view) => view(panel)) : html`<p class="quiet">${t("frame.loading")}</p>`;
  } catch (error) {
    console.error(error);
    return html`<p class="note is-failed">${icon("failed")}<span>${t("frame.not_loaded", { error: String(error) })}</span></p>`;
  }
}

/** @param {Panel} panel */
function tabs(panel) {
  const { t, target } = panel;
  return html`
    <div class="tabs" role="tablist" aria-label=${t("frame.sections")} @keydown=${onTabKey}>
      ${Object.entries(SECTIONS).map(([id, section]) => {
        const isChosen = id === target.section;
        return html`<button
          class="tab"
          role="tab"
          id="tab-${id}"
          aria-selected=${isChosen}
          aria-controls="section"
          tabindex=${isChosen ? 0 : -1}
          title=${t(`section.${/** @type {Section} */ (id)}`)}
          @click=${() => panel.show({ section: /** @type {Section} */ (id) })}
        >
          ${icon(section.icon)}<span class="tab-word">${t(`section.${/** @type {Section} */ (id)}`)}</span>
        </button>`;
      })}
    </div>
  `;
}

const STEPS = new Map([
  ["ArrowLeft", -1],
  ["ArrowRight", 1],
  ["Home", -Infinity],
  ["End", Infinity],
]);

/**
 * One tab is a stop of the Tab key; arrows move between them, as in every list of tabs.
 * @param {KeyboardEvent} event
 */
function onTabKey(event) {
  const step = STEPS.get(event.key);
  if (step === undefined) return;
  event.preventDefault();
  const list = /** @type {HTMLElement} */ (event.currentTarget);
  const buttons = /** @type {HTMLElement[]} */ ([...list.querySelectorAll("[role=tab]")]);
  const at = buttons.indexOf(/** @type {HTMLElement} */ (event.target));
  const next = Number.isFinite(step) ? (at + step + buttons.length) % buttons.length : step < 0 ? 0 : buttons.length - 1;
  buttons[next].focus();
  buttons[next].click();
}

/** @param {Panel} panel */
function loading({ state, t }) {
  if (!state.error) return html`<p class="quiet">${t("frame.loading")}</p>`;
  const { message, remedy } = wordsOf(state.error, t);
  return html`<p class="note is-failed">${icon("failed")}<span>${message} ${remedy}</span></p>`;
}

/** @param {Panel} panel */
function lostBanner({ state, t }) {
  if (state.phase === "lost") return html`<p class="note is-stale">${icon("plug")}<span>${t("frame.lost")}</span></p>`;
  if (state.phase !== "ready" || !state.error) return nothing;
  const { message, remedy } = wordsOf(state.error, t);
  return html`<p class="note is-failed">${icon("failed")}<span>${message} ${remedy}</span></p>`;
}

/** @param {Panel} panel */
function readOnlyBanner({ state, whyNot }) {
  return state.phase !== "loading" && whyNot !== null ? html`<p class="note is-info">${icon("info")}<span>${whyNot}</span></p>` : nothing;
}

/**
 * @param {Panel} panel
 * @param {{ message: string, remedy: string } | null} failure
 * @param {() => void} forget
 */
function failureBanner({ t }, failure, forget) {
  return html`<div class="alerts" role="alert">
    ${failure
      ? html`<p class="note is-failed">
          ${icon("failed")}<span><strong>${failure.message}</strong> ${failure.remedy}</span>
          <button class="plain" aria-label=${t("frame.dismiss")} title=${t("frame.dismiss")} @click=${forget}>${icon("cross")}</button>
        </p>`
      : nothing}
  </div>`;
}
