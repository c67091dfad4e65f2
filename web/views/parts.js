// @ts-check
/** Small things that several views are made of. */

import { copyText } from "../handover.js";
import { html, nothing } from "../html.js";
import { icon } from "../icons.js";

/** @import { IconName } from "../icons.js" */
/** @import { TemplateResult } from "../html.js" */
/** @import { PackState } from "../overview.js" */
/** @import { Panel } from "../types.js" */

/** @type {Record<PackState, IconName>} */
const STATE_ICONS = {
  failed: "failed",
  mistake: "failed",
  stale: "stale",
  unbuilt: "unbuilt",
  building: "building",
  queued: "queued",
  describing: "building",
  ready: "ready",
};

/**
 * A state as picture, word and colour: no one of them alone says it.
 * @param {Panel} panel
 * @param {PackState} state
 */
export function stateWord({ t }, state) {
  return html`<span class="state is-${state}">${icon(STATE_ICONS[state])}<span>${t(`state.${state}`)}</span></span>`;
}

/**
 * @param {{
 *   label: string, icon?: IconName, onClick: (event: Event) => unknown, kind?: "main" | "helpful" | "dangerous" | "",
 *   whyNot?: string | null, name?: string,
 * }} options `whyNot`: why it cannot be pressed; null or left out: it can. `name`: for screen readers, where the label alone
 *   does not say of what
 */
export function button({ label, icon: picture, onClick, kind = "", whyNot = null, name = label }) {
  return html`<button
    type="button"
    class="button ${kind && `is-${kind}`}"
    aria-label=${name === label ? nothing : name}
    title=${whyNot ?? nothing}
    ?disabled=${whyNot !== null}
    @click=${onClick}
  >
    ${picture ? icon(picture) : nothing}${label}
  </button>`;
}

/**
 * Its width is set as a property: the page's content security policy forbids `style` attributes.
 * @param {number | null} fraction from 0 to 1; null: nobody knows
 * @param {string} name of what goes on
 */
export function bar(fraction, name) {
  const percent = fraction === null ? null : Math.round(100 * Math.min(1, Math.max(0, fraction)));
  return html`<div
    class="bar ${percent === null ? "is-open" : ""}"
    role="progressbar"
    aria-label=${name}
    aria-valuemin=${percent === null ? nothing : 0}
    aria-valuemax=${percent === null ? nothing : 100}
    aria-valuenow=${percent ?? nothing}
  >
    <i .style=${percent === null ? "" : `inline-size: ${percent}%`}></i>
  </div>`;
}

/**
 * @param {"failed" | "warning" | "info" | "ready"} kind
 * @param {unknown} content
 */
export function note(kind, content) {
  return html`<div class="note is-${kind}">${icon(kind)}<div>${content}</div></div>`;
}

/**
 * Something that is opened and closed by its heading, and drawn only while it is open.
 * @param {Panel} panel
 * @param {{ key: string, part?: string, title: unknown, extra?: unknown, content: () => unknown, isOpen?: boolean,
 *   level?: number }} options `key`: what it is remembered by; `part`: by which a target can ask for it; `isOpen`: as long as
 *   nobody touched it; `level`: of the heading, one below that of what it belongs to
 */
export function disclosure(panel, { key, part, title, extra = nothing, content, isOpen = false, level = 3 }) {
  const opened = /** @type {Map<string, boolean>} */ (panel.ui.opened ??= new Map());
  const isShown = opened.get(key) ?? isOpen;
  const toggle = () => {
    opened.set(key, !isShown);
    panel.redraw();
  };
  return html`<section class="disclosure" data-part=${part ?? nothing}>
    <div role="heading" aria-level=${level}>
      <button type="button" class="disclosure-head" aria-expanded=${isShown} @click=${toggle}>
        ${icon(isShown ? "down" : "forward")}<span>${title}</span><span class="quiet">${extra}</span>
      </button>
    </div>
    ${isShown ? html`<div class="disclosure-body">${content()}</div>` : nothing}
  </section>`;
}

/**
 * A command or an address to take along, with a button that copies it.
 * @param {Panel} panel
 * @param {string} text
 */
export function copyable(panel, text) {
  const { t, act } = panel;
  return html`<div class="copyable">
    <code>${text}</code>
    <button
      type="button"
      class="plain"
      aria-label=${t("parts.copy_this", { text })}
      title=${t("parts.copy")}
      @click=${act(() => copy(text), t("parts.copied"))}
    >
      ${icon("copy")}
    </button>
  </div>`;
}

/**
 * @param {string} text
 * @returns {Promise<void>} rejects where the browser does not allow it
 */
export async function copy(text) {
  if (!(await copyText(text))) throw new Error("the browser did not allow copying");
}

/**
 * Parts with a dot between them; those that are null or empty are left out.
 * @param {(string | TemplateResult | null)[]} parts
 */
export function dotted(parts) {
  return parts.filter((part) => part).map((part, at) => (at ? html`<span aria-hidden="true"> · </span>${part}` : part));
}
