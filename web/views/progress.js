// @ts-check
/** A build under way: what it does, how far it is, for how long, and how to stop it. */

import { html, nothing } from "../html.js";
import { now_s } from "../model.js";
import { elapsedS } from "../overview.js";
import { path } from "../server.js";
import { bar, button } from "./parts.js";

/** @import { Build, Panel } from "../types.js" */
/** @import { Key } from "../strings.js" */

/** Builds are silent for a while when a large package is unpacked; after this time it is worth saying for how long. */
const QUIET_S = 30;

/** @type {Record<string, Key>} */
const PHASES = {
  waiting: "phase.waiting",
  resolving: "phase.resolving",
  downloading: "phase.downloading",
  installing: "phase.installing",
  verifying: "phase.verifying",
};

/**
 * @param {Panel} panel
 * @param {Build} build
 */
export function progressView(panel, build) {
  const { t, format } = panel;
  const now = now_s();
  const quiet_s = build.quiet_s + now - build.received_at;
  return html`<div class="progress is-${build.state === "queued" ? "queued" : "building"}">
    <div class="progress-words">
      <span>${stepOf(build, t)}${build.state === "queued" ? nothing : html` <span class="quiet">${extent(panel, build)}</span>`}</span>
      ${build.state === "queued"
        ? nothing
        : html`<time class="mono quiet" title=${t("progress.elapsed")}>${format.clock(elapsedS(build, now))}</time>`}
    </div>
    ${build.state === "queued" ? nothing : bar(fraction(build), stepOf(build, t))}
    ${build.text && build.text !== build.phase && build.state !== "queued" ? html`<p class="progress-text quiet">${build.text}</p>` : nothing}
    ${build.state !== "queued" && quiet_s > QUIET_S
      ? html`<p class="quiet">${t("progress.quiet", { duration: format.duration(quiet_s) })}</p>`
      : nothing}
    <div class="actions">${cancelButton(panel, build)}</div>
  </div>`;
}

/**
 * @param {Panel} panel
 * @param {Build} build
 */
function cancelButton({ t, act, server, whyNot }, build) {
  return button({
    label: t("progress.cancel"),
    icon: "stop",
    onClick: act(() => server.post(path`/environments/${build.environment_id}/cancel`)),
    whyNot,
  });
}

/**
 * @param {Build} build
 * @param {Panel["t"]} t
 */
function stepOf(build, t) {
  if (build.state === "queued") {
    return build.position ? t("progress.position", { position: build.position }) : t("phase.queued");
  }
  return t(PHASES[build.phase ?? ""] ?? "phase.starting");
}

/**
 * @param {Panel} panel
 * @param {Build} build
 */
function extent({ t, format }, build) {
  if (build.packages_total) {
    return t("progress.packages", { done: build.packages_done, count: build.packages_total });
  }
  return build.percent === null ? "" : format.percent(build.percent);
}

/**
 * @param {Build} build
 * @returns {number | null} from 0 to 1, of the phase
 */
export function fraction(build) {
  if (build.packages_total) return build.packages_done / build.packages_total;
  return build.percent === null ? null : build.percent / 100;
}
