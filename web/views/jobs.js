// @ts-check
/** Work under way that no card tells of: what is deleted, moved, collected or restarted. */

import { html, nothing } from "../html.js";
import { bar } from "./parts.js";

/** @import { JobJson, Panel } from "../types.js" */
/** @import { Key } from "../strings.js" */

/** @type {Record<string, Key>} by the kind of job; builds are told of on their cards */
const NAMES = {
  delete: "job.delete",
  collect: "job.collect",
  "move-store": "job.move_store",
  restart: "job.restart",
  stop: "job.stop",
};

/** @param {Panel} panel */
export function jobsView(panel) {
  const running = [...panel.state.jobs.values()].filter(({ kind, state }) => state === "running" && kind in NAMES);
  if (running.length === 0) return nothing;
  return html`<ul class="jobs">${running.map((job) => jobView(panel, job))}</ul>`;
}

/**
 * @param {Panel} panel
 * @param {JobJson} job
 */
function jobView({ t }, { kind, target, text, percent }) {
  const name = t(NAMES[kind], { target });
  return html`<li class="job is-busy">
    <p>${name}<span class="quiet"> ${text}</span></p>
    ${bar(percent === null ? null : percent / 100, name)}
  </li>`;
}
