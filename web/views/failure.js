// @ts-check
/** Why something does not work: the cause in words, what to do, and the buttons that help. */

import { html, nothing } from "../html.js";
import { remediesFor } from "../remedies.js";
import { button, note } from "./parts.js";

/** @import { Action } from "../remedies.js" */
/** @import { IconName } from "../icons.js" */
/** @import { Failure, Panel, SiteJson } from "../types.js" */

/** @type {Record<Action, IconName>} */
const ICONS = {
  build: "build",
  rebuild: "rebuild",
  log: "log",
  worker_log: "log",
  file: "file",
  mirrors: "settings",
  place: "settings",
  space: "disk",
  memory: "workers",
  check: "help",
  report: "help",
};

/** Those that change something, which may not be allowed. */
const CHANGING = new Set(["build", "rebuild"]);

/**
 * @param {Panel} panel
 * @param {SiteJson} site
 * @param {Failure} failure
 * @param {{ tail?: string[], isToldBelow?: boolean }} [options] `tail`: the last telling lines of the log; `isToldBelow`: the
 *   words stand elsewhere already, at the line that they are about
 */
export function failureView(panel, site, failure, { tail = [], isToldBelow = false } = {}) {
  return html`<div class="failure">
    ${isToldBelow ? nothing : wordsView(failure)}
    ${tail.length ? html`<pre class="tail" tabindex="0">${tail.join("\n")}</pre>` : nothing}
    <div class="actions">${remediesFor(failure.cause).map((action, at) => actionButton(panel, site, action, at === 0))}</div>
  </div>`;
}

/** @param {Failure} failure */
function wordsView({ cause, message, remedy }) {
  return note(
    cause === "cancelled" ? "info" : "failed",
    html`<p class="failure-message">${message}</p>
      ${remedy ? html`<p class="failure-remedy">${remedy}</p>` : nothing}`,
  );
}

/**
 * @param {Panel} panel
 * @param {SiteJson} site
 * @param {Action} action
 * @param {boolean} isFirst
 */
function actionButton(panel, site, action, isFirst) {
  const { t, whyNot } = panel;
  return button({
    label: t(`remedy.${action}`),
    name: t("remedy.of", { action: t(`remedy.${action}`), pack: site.pack }),
    icon: ICONS[action],
    onClick: listenerFor(panel, site, action),
    kind: isFirst ? "helpful" : "",
    whyNot: CHANGING.has(action) ? whyNot : null,
  });
}

/**
 * @param {Panel} panel
 * @param {SiteJson} site
 * @param {Action} action
 * @returns {(event: Event) => unknown}
 */
function listenerFor(panel, site, action) {
  const { act, server, show, t } = panel;
  const environment = site.environment_id ?? undefined;
  const sites = [site.id];
  switch (action) {
    case "build":
      return act(() => server.post("/build", { sites }), t("packs.asked_to_build"));
    case "rebuild":
      return act(() => server.post("/rebuild", { sites }), t("packs.asked_to_build"));
    case "log":
      return () => show({ section: "packs", pack: site.pack, environment, log: true });
    case "worker_log":
      return () => show({ section: "workers", worker: site.id, log: true });
    case "file":
      return () => show({ section: "packs", pack: site.pack, file: true });
    case "mirrors":
    case "place":
      return () => show({ section: "settings" });
    case "space":
      return () => show({ section: "disk" });
    case "memory":
      return () => show({ section: "workers" });
    case "check":
    case "report":
      return () => show({ section: "help" });
  }
}
