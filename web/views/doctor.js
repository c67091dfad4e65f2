// @ts-check
/** What the server finds when it examines this computer: the disk, the network, the tools that build. */

import { asText } from "../findings.js";
import { html, nothing } from "../html.js";
import { icon } from "../icons.js";
import { latestJob } from "../jobs.js";
import { bar, button, copy, disclosure, note } from "./parts.js";

/** @import { IconName } from "../icons.js" */
/** @import { Finding, JobJson, Panel } from "../types.js" */

/** @type {Record<Finding["level"], { icon: IconName, kind: "failed" | "warning" | "ready" }>} */
const LEVELS = {
  fail: { icon: "failed", kind: "failed" },
  warn: { icon: "warning", kind: "warning" },
  ok: { icon: "ready", kind: "ready" },
};

/** @param {Panel} panel */
export function doctorView(panel) {
  const { act, server, state, t } = panel;
  const job = latestJob(state.jobs, "doctor");
  const isRunning = job?.state === "running";
  return html`<section class="help-part">
    <h2>${t("doctor.title")}</h2>
    <p class="quiet">${t("doctor.means")}</p>
    <div class="actions">
      ${button({
        label: t(job && !isRunning ? "doctor.again" : "doctor.run"),
        icon: "search",
        kind: job ? "" : "main",
        whyNot: panel.whyNot ?? (isRunning ? t("doctor.running") : null),
        onClick: act(() => server.post("/doctor")),
      })}
    </div>
    <div aria-live="polite">${job ? outcomeView(panel, job) : nothing}</div>
  </section>`;
}

/**
 * @param {Panel} panel
 * @param {JobJson} job
 */
function outcomeView(panel, job) {
  const { t } = panel;
  if (job.state === "running") {
    return html`<p class="quiet">${job.text || t("doctor.running")}</p>${bar(job.percent === null ? null : job.percent / 100, t("doctor.running"))}`;
  }
  if (job.error) return note("failed", html`${job.error.message} ${job.error.remedy}`);
  if (job.state !== "done") return nothing;
  return findingsView(panel, job.result.findings);
}

/**
 * @param {Panel} panel
 * @param {Finding[]} findings
 */
function findingsView(panel, findings) {
  const { act, format, t } = panel;
  const wrong = [...findings.filter(({ level }) => level === "fail"), ...findings.filter(({ level }) => level === "warn")];
  const right = findings.filter(({ level }) => level === "ok");
  return html`
    ${wrong.length ? nothing : note("ready", t("doctor.all_well"))}
    <ul class="findings">
      ${wrong.map((finding) => html`<li>${findingView(finding)}</li>`)}
    </ul>
    ${right.length
      ? disclosure(panel, {
          key: "doctor.ok",
          title: t("doctor.well"),
          extra: format.number(right.length),
          content: () => html`<ul class="findings is-quiet">${right.map((finding) => html`<li>${lineView(finding)}</li>`)}</ul>`,
        })
      : nothing}
    <div class="actions">
      ${button({ label: t("doctor.copy"), icon: "copy", onClick: act(() => copy(asText(findings)), t("parts.copied")) })}
    </div>
  `;
}

/** @param {Finding} finding */
function findingView({ subject, level, text, remedy }) {
  return note(
    /** @type {"failed" | "warning"} */ (LEVELS[level].kind),
    html`<p><strong>${subject}</strong> ${text}</p>
      ${remedy ? html`<p>${remedy}</p>` : nothing}`,
  );
}

/** @param {Finding} finding */
function lineView({ subject, level, text }) {
  return html`<span class="is-${LEVELS[level].kind}">${icon(LEVELS[level].icon)}</span> <strong>${subject}</strong> <span class="quiet">${text}</span>`;
}
