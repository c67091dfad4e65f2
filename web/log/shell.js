// @ts-check
/** What stands around the lines of a log: search and buttons above, its state below, words in place of lines. */

import { html, live, nothing, ref } from "../html.js";
import { icon } from "../icons.js";
import { wordsOf } from "../words.js";

/** @import { Format } from "../format.js" */
/** @import { IconName } from "../icons.js" */
/** @import { Translate } from "../strings.js" */
/** @import { LogFeed } from "./feed.js" */
/** @import { LogScroller } from "./scroller.js" */

/**
 * What the user can do.
 * @typedef {{
 *   search: (query: string) => void, step: (step: 1 | -1) => void, toggleEnd: () => void, toggleWrap: () => void,
 *   copy: () => void, download: () => void, retry: () => void, toEnd: () => void, showBuild: (build: number) => void,
 * }} Actions
 */

/**
 * - `query`: what is looked for; "" for nothing. `count`: of matches so far. `place`: of the one gone to, from 1; 0: none.
 * - `isSearching`: whether `count` may still grow.
 * - `unseen`: lines that came since the user left the end.
 * - `isGrowing`: whether what writes the log is at work; null where nobody says.
 * - `build`: 0 for the log of now, 1 and 2 for those of the builds before. `hasBuilds`: whether there are such.
 * - `said`: what the last click did.
 * @typedef {{
 *   feed: LogFeed, scroller: LogScroller, query: string, count: number, place: number, isSearching: boolean,
 *   unseen: number, isGrowing: boolean | null, build: number, hasBuilds: boolean, said: string, t: Translate, format: Format, actions: Actions,
 *   onField: (field: Element | undefined) => void,
 * }} Shell
 */

/** @param {Shell} shell */
export function shellView(shell) {
  const { scroller, t } = shell;
  return html`
    <div class="log-tools" role="group" aria-label=${t("log.tools")}>${searchField(shell)} ${buttons(shell)}</div>
    <div class="log-frame">${scroller.element} ${message(shell)} ${newest(shell)}</div>
    ${statusLine(shell)}
  `;
}

/** @param {Shell} shell */
function searchField(shell) {
  const { query, count, t, actions, onField } = shell;
  const onInput = (/** @type {InputEvent} */ { target }) => actions.search(/** @type {HTMLInputElement} */ (target).value);
  return html`<div class="log-search">
    ${icon("search")}
    <input
      class="field"
      type="search"
      placeholder=${t("log.search")}
      aria-label=${t("log.search")}
      aria-keyshortcuts="Control+F /"
      autocomplete="off"
      spellcheck="false"
      .value=${live(query)}
      @input=${onInput}
      ${ref(onField)}
    />
    ${query
      ? html`<span class="log-count" role="status">${countText(shell)}</span>
          ${tool("up", t("log.previous"), () => actions.step(-1), { isDisabled: count === 0 })}
          ${tool("down", t("log.next"), () => actions.step(1), { isDisabled: count === 0 })}`
      : nothing}
  </div>`;
}

/** @param {Shell} shell */
function countText({ count, place, isSearching, t, format }) {
  if (count === 0) return isSearching ? "…" : t("log.no_match");
  const text = place ? t("log.place", { place: format.number(place), total: format.number(count) }) : format.number(count);
  return isSearching ? `${text} …` : text;
}

/** @param {Shell} shell */
function buttons({ scroller, t, actions, feed, build, hasBuilds }) {
  const isDisabled = feed.phase !== "ready";
  return html`<div class="log-buttons">
    ${hasBuilds ? builds(build, t, actions) : nothing}
    ${tool("newest", t("log.stick"), actions.toggleEnd, { isPressed: scroller.sticks, isDisabled })}
    ${tool("wrap", t("log.wrap"), actions.toggleWrap, { isPressed: scroller.isWrapped, isDisabled })}
    ${tool("copy", t("log.copy"), actions.copy, { isDisabled })}
    ${tool("download", t("log.download"), actions.download, { isDisabled })}
  </div>`;
}

/** @param {number} shown @param {Translate} t @param {Actions} actions */
function builds(shown, t, actions) {
  const onChange = (/** @type {Event} */ { target }) => actions.showBuild(Number(/** @type {HTMLSelectElement} */ (target).value));
  const names = [t("log.build_now"), t("log.build_before"), t("log.build_two_before")];
  return html`<select class="field log-builds" aria-label=${t("log.build")} @change=${onChange}>
    ${names.map((name, build) => html`<option value=${build} ?selected=${build === shown}>${name}</option>`)}
  </select>`;
}

/**
 * @param {IconName} name
 * @param {string} label
 * @param {() => void} onClick
 * @param {{ isPressed?: boolean, isDisabled?: boolean }} [state]
 */
function tool(name, label, onClick, { isPressed, isDisabled = false } = {}) {
  return html`<button
    class="plain log-tool"
    type="button"
    title=${label}
    aria-label=${label}
    aria-pressed=${isPressed ?? nothing}
    ?disabled=${isDisabled}
    @click=${onClick}
  >
    ${icon(name)}
  </button>`;
}

/** @param {Shell} shell */
function newest({ scroller, unseen, t, format, actions }) {
  if (scroller.sticks) return nothing;
  const text = unseen ? t("log.unseen", { count: unseen, number: format.number(unseen) }) : t("log.newest");
  return html`<button class="button is-main log-newest" type="button" @click=${actions.toEnd}>${icon("newest")}${text}</button>`;
}

/** In place of lines. @param {Shell} shell */
function message({ feed, t, actions, build }) {
  if (feed.phase === "failed" && feed.error) {
    const { message, remedy } = wordsOf(feed.error, t);
    return html`<div class="log-message is-failed" role="alert">
      ${icon("failed")}<p><strong>${message}</strong> ${remedy}</p>
      <button class="button" type="button" @click=${actions.retry}>${t("log.retry")}</button>
    </div>`;
  }
  if (feed.phase === "loading") return html`<p class="log-message quiet">${t("log.loading")}</p>`;
  if (feed.phase === "none") return html`<p class="log-message quiet">${t(build ? "log.none_of_build" : "log.none")}</p>`;
  return feed.lines.length ? nothing : html`<p class="log-message quiet">${t("log.empty")}</p>`;
}

/** @param {Shell} shell */
function statusLine({ feed, isGrowing, said, t, format }) {
  const { lines, phase, error, hasOlder, isLoadingOlder } = feed;
  if (phase !== "ready") return nothing;
  const number = format.number(lines.length);
  const count = t(hasOlder ? "log.newest_lines" : "log.lines", { count: lines.length, number });
  return html`<p class="log-status">
    ${growth(isGrowing, t)}
    <span>${count}</span>
    ${isLoadingOlder ? html`<span>${t("log.loading_older")}</span>` : html`<span>${format.bytes(lines.end)}</span>`}
    ${lines.isFull && lines.start > 0 ? html`<span>${t("log.too_long")}</span>` : nothing}
    <span class="log-said" role="status">${said}</span>
    ${error ? html`<span class="log-problem is-failed" role="alert">${wordsOf(error, t).message}</span>` : nothing}
  </p>`;
}

/** @param {boolean | null} isGrowing @param {Translate} t */
function growth(isGrowing, t) {
  if (isGrowing === null) return nothing;
  return html`<span class=${isGrowing ? "log-growth is-ready" : "log-growth"}>${t(isGrowing ? "log.live" : "log.ended")}</span>`;
}
