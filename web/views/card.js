// @ts-check
/** One pack in the list: how it stands, and what can be done about it at once. */

import { html, nothing } from "../html.js";
import { icon } from "../icons.js";
import { siteState } from "../overview.js";
import { failureView } from "./failure.js";
import { button, dotted, note, stateWord } from "./parts.js";
import { progressView } from "./progress.js";

/** @import { Card } from "../overview.js" */
/** @import { Panel } from "../types.js" */

/**
 * @param {Panel} panel
 * @param {Card} card
 * @param {Card | undefined} opened the card that is opened beside the list, which is a mere list then
 */
export function cardView(panel, card, opened) {
  const { t, show } = panel;
  return html`<li class="card is-${card.state} ${card === opened ? "is-opened" : ""}" data-pack=${card.name}>
    <div class="card-head">
      <h3>
        <button
          type="button"
          class="card-name"
          aria-current=${card === opened ? "true" : nothing}
          @click=${() => show({ section: "packs", pack: card.name })}
        >
          ${card.name}
        </button>
      </h3>
      ${stateWord(panel, card.state)}
    </div>
    <p class="card-facts quiet">${facts(panel, card)}</p>
    ${opened ? nothing : body(panel, card)}
    ${card.warnings ? html`<p class="card-warnings">${icon("warning")} ${t("packs.warnings", { count: card.warnings })}</p>` : nothing}
  </li>`;
}

/**
 * @param {Panel} panel
 * @param {Card} card
 */
function facts({ t }, card) {
  return dotted([
    card.nodes ? t("packs.nodes", { count: card.nodes }) : null,
    card.pythons.length ? t("packs.python", { version: card.pythons.map(shortVersion).join(", ") }) : null,
    card.sites.length > 1 ? t("packs.directories", { count: card.sites.length }) : null,
  ]);
}

/** @param {string} version "3.11.9" → "3.11": what packs name, and all that matters at a glance */
function shortVersion(version) {
  return version.split(".").slice(0, 2).join(".");
}

/**
 * @param {Panel} panel
 * @param {Card} card
 */
function body(panel, card) {
  switch (card.state) {
    case "failed":
      return card.sites
        .filter((site) => siteState(site) === "failed")
        .map((site) => site.failure && failureView(panel, site, site.failure));
    case "mistake":
      return mistake(panel, card);
    case "building":
    case "queued":
      return card.builds.map((build) => progressView(panel, build));
    case "stale":
    case "unbuilt":
      return waiting(panel, card);
    default:
      return card.sites.map(({ notice }) => (notice ? html`<p class="quiet">${notice}</p>` : nothing));
  }
}

/**
 * @param {Panel} panel
 * @param {Card} card
 */
function mistake({ t, show }, card) {
  const problem = card.pack?.files.flatMap(({ problems }) => problems).find(({ level }) => level === "error");
  return html`<div class="failure">
    ${note("failed", html`<p class="failure-message">${problem?.problem}</p><p class="failure-remedy">${problem?.remedy}</p>`)}
    <div class="actions">
      ${button({ label: t("remedy.file"), icon: "file", kind: "helpful", onClick: () => show({ section: "packs", pack: card.name, file: true }) })}
    </div>
  </div>`;
}

/**
 * @param {Panel} panel
 * @param {Card} card
 */
function waiting({ t, act, server, whyNot }, card) {
  const sites = card.sites.filter((site) => siteState(site) === card.state);
  const notice = sites.find((site) => site.notice)?.notice;
  return html`<div class="failure">
    <p class="quiet">${notice ?? t(card.state === "stale" ? "packs.stale" : "packs.unbuilt")}</p>
    <div class="actions">
      ${button({
        label: t("packs.build"),
        name: t("remedy.of", { action: t("packs.build"), pack: card.name }),
        icon: "build",
        kind: "helpful",
        onClick: act(() => server.post("/build", { sites: sites.map(({ id }) => id) }), t("packs.asked_to_build")),
        whyNot,
      })}
    </div>
  </div>`;
}
