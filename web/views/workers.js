// @ts-check
/** The processes in which nodes run: what they do, what they take, and their logs. */

import { html, nothing, ref, repeat } from "../html.js";
import { icon } from "../icons.js";
import { latestJob } from "../jobs.js";
import { path } from "../server.js";
import { SAMPLES_KEPT } from "../state.js";
import { logPlace } from "./log_place.js";
import { button, disclosure, note } from "./parts.js";
import { sparkline } from "./sparkline.js";

/** @import { IconName } from "../icons.js" */
/** @import { Panel, WorkerJson, WorkerState } from "../types.js" */

/** @type {Record<WorkerState, { icon: IconName, look: string }>} */
const STATES = {
  busy: { icon: "building", look: "busy" },
  idle: { icon: "ready", look: "ready" },
  starting: { icon: "queued", look: "queued" },
  stopping: { icon: "queued", look: "queued" },
  crashed: { icon: "failed", look: "crashed" },
  stopped: { icon: "unbuilt", look: "unbuilt" },
};
/** Has a process, or is about to have one. */
const ALIVE = new Set(["starting", "idle", "busy", "stopping"]);
/** A line that fills the height whenever anything is done at all would tell nothing. */
const LEAST_CPU_PERCENT = 100;
const SAMPLE_EVERY_S = 2;

/** @param {Panel} panel */
export function workersView(panel) {
  const { keep, model, state, t, target } = panel;
  keep("watching workers", () => ({ dispose: model.watchWorkers() }));
  const workers = [...state.workers.values()].sort(byPack);
  const isElsewhere = target.worker !== undefined && !state.workers.has(target.worker);
  return html`<div class="workers">
    <h2 class="unseen">${t("section.workers")}</h2>
    <p class="quiet">${workers.length ? summary(panel, workers) : nothing}</p>
    ${isElsewhere ? logOnly(panel, /** @type {string} */ (target.worker)) : nothing}
    ${workers.length === 0 ? empty(panel) : nothing}
    <ul class="worker-list" aria-label=${t("section.workers")}>
      ${repeat(workers, ({ site }) => site, (worker) => card(panel, worker))}
    </ul>
  </div>`;
}

/** @param {WorkerJson} one @param {WorkerJson} other */
function byPack(one, other) {
  return one.pack.localeCompare(other.pack) || one.site.localeCompare(other.site);
}

/** @param {Panel} panel @param {WorkerJson[]} workers */
function summary({ t, format }, workers) {
  const alive = workers.filter(({ state }) => ALIVE.has(state));
  const memory = alive.reduce((sum, worker) => sum + (worker.rss_bytes ?? 0), 0);
  if (alive.length === 0) return t("workers.none_runs");
  return t("workers.summary", { count: alive.length, memory: format.bytes(memory) });
}

/** @param {Panel} panel */
function empty({ t }) {
  return html`<div class="workers-empty">
    ${icon("workers")}
    <p>${t("workers.none")}</p>
    <p class="quiet">${t("workers.none_explained")}</p>
  </div>`;
}

/** A log that is asked for by name, of a worker that is not there any more. @param {Panel} panel @param {string} site */
function logOnly(panel, site) {
  return html`<section class="worker"><h3>${site}</h3>${logPlace(panel, { kind: "worker", id: site })}</section>`;
}

/** @param {Panel} panel @param {WorkerJson} worker */
function card(panel, worker) {
  const { t, target } = panel;
  const isAlive = ALIVE.has(worker.state);
  const isTarget = target.worker === worker.site;
  const { icon: picture, look } = STATES[worker.state];
  return html`<li class="worker is-${look}" data-worker=${worker.site} ${ref(isTarget ? revealing(panel) : undefined)}>
    <div class="worker-head">
      <h3>${worker.pack}${worker.site === worker.pack ? nothing : html` <span class="quiet worker-site">${directoryOf(worker)}</span>`}</h3>
      <span class="state is-${look}">${icon(picture)}<span>${t(`worker.${worker.state}`)}</span></span>
    </div>
    <p class="worker-facts quiet">${facts(panel, worker)}</p>
    ${isAlive ? meters(panel, worker) : nothing}
    ${failure(panel, worker)}
    ${worker.last_end && !isAlive ? html`<p class="worker-end">${t("workers.last_end", { how: worker.last_end })}</p>` : nothing}
    <div class="actions">${buttons(panel, worker, isAlive)}</div>
    ${isAlive ? disclosure(panel, { key: `worker ${worker.site}`, title: t("workers.details"), level: 4, content: () => details(panel, worker) }) : nothing}
    ${isTarget && target.log ? logPlace(panel, { kind: "worker", id: worker.site }, isAlive) : nothing}
  </li>`;
}

/** Why the restart that somebody asked for last did not come about. @param {Panel} panel @param {WorkerJson} worker */
function failure({ state }, { site }) {
  const job = latestJob(new Map([...state.jobs].filter(([, { target }]) => target === site)), "restart");
  return job?.error ? note("failed", html`${job.error.message} ${job.error.remedy}`) : nothing;
}

/** Which of the pack's directories it is. @param {WorkerJson} worker */
function directoryOf({ site, pack }) {
  return site.startsWith(`${pack}/`) ? site.slice(pack.length + 1) : site;
}

/** Brings what somebody asked for into sight, once: the card, and the log at its lower end. @param {Panel} panel */
function revealing({ target, ui }) {
  return (/** @type {Element | undefined} */ element) => {
    if (!element || ui.revealed === target) return;
    ui.revealed = target;
    requestAnimationFrame(() => element.scrollIntoView({ block: target.log ? "end" : "nearest" }));
  };
}

/** @param {Panel} panel @param {WorkerJson} worker */
function facts({ t, format }, worker) {
  const { pid, python, uptime_s, calls, errors, queue } = worker;
  const parts = [
    pid !== null && t("workers.process", { pid }),
    python && t("packs.python", { version: python }),
    uptime_s !== null && t("workers.uptime", { time: format.duration(uptime_s) }),
    t("workers.calls", { count: calls, number: format.number(calls) }),
    queue > 0 && t("workers.queue", { count: queue, number: format.number(queue) }),
  ];
  const errorCount = errors
    ? html`<span class="worker-errors is-failed">${t("workers.errors", { count: errors, number: format.number(errors) })}</span>`
    : nothing;
  return html`${parts.filter(Boolean).map((part) => html`<span>${part}</span>`)}${errorCount}`;
}

/** @param {Panel} panel @param {WorkerJson} worker */
function meters(panel, worker) {
  const { state, t, format } = panel;
  const samples = state.samples.get(worker.site) ?? [];
  const cpu = samples.map((sample) => sample.cpu_percent);
  const memory = samples.map((sample) => sample.rss_bytes);
  return html`<div class="worker-meters">
    ${meter(panel, { name: t("workers.cpu"), kind: "cpu", values: cpu, now: worker.cpu_percent, shown: format.percent, least: LEAST_CPU_PERCENT })}
    ${meter(panel, { name: t("workers.memory"), kind: "memory", values: memory, now: worker.rss_bytes, shown: format.bytes, least: 1 })}
  </div>`;
}

/**
 * @param {Panel} panel
 * @param {{ name: string, kind: string, values: (number | null)[], now: number | null, shown: (value: number) => string,
 *   least: number }} meter `least`: of the value at the upper edge
 */
function meter({ t, format }, { name, kind, values, now, shown, least }) {
  const peak = Math.max(0, ...values.map((value) => value ?? 0));
  const current = now === null ? t("workers.unknown") : shown(now);
  const since = format.duration(SAMPLE_EVERY_S * Math.max(1, values.length - 1));
  return html`<div class="meter">
    <span class="meter-name quiet">${name}</span><span class="meter-now">${current}</span>
    ${sparkline({
      values,
      slots: SAMPLES_KEPT,
      most: Math.max(least, peak * 1.1),
      label: t("workers.trend", { name, now: current, peak: shown(peak), since }),
      kind,
    })}
  </div>`;
}

/** @param {Panel} panel @param {WorkerJson} worker @param {boolean} isAlive */
function buttons(panel, worker, isAlive) {
  const { act, server, show, state, t, target, whyNot } = panel;
  const { pack, site } = worker;
  const hasEnvironment = Boolean(state.sites.get(site)?.serving);
  const isLogShown = target.worker === site && target.log === true;
  const restart = () => ifSure(panel, worker, "restart", () => server.post(path`/workers/${site}/restart`));
  const stop = () => ifSure(panel, worker, "stop", () => server.post(path`/workers/${site}/stop`));
  return html`
    <button
      type="button"
      class="button"
      aria-expanded=${isLogShown}
      aria-label=${t(isLogShown ? "workers.hide_log_of" : "workers.show_log_of", { pack })}
      @click=${() => show({ section: "workers", ...(isLogShown ? {} : { worker: site, log: true }) })}
    >
      ${icon("log")}${t(isLogShown ? "workers.hide_log" : "workers.show_log")}
    </button>
    ${button({
      label: t(isAlive ? "workers.restart" : "workers.start"),
      name: t(isAlive ? "workers.restart_of" : "workers.start_of", { pack }),
      icon: isAlive ? "rebuild" : "build",
      whyNot: whyNot ?? (isAlive || hasEnvironment ? null : t("workers.no_environment")),
      onClick: act(restart, t("workers.restarting", { pack })),
    })}
    ${isAlive
      ? button({ label: t("workers.stop"), name: t("workers.stop_of", { pack }), icon: "stop", whyNot, onClick: act(stop, t("workers.stopping", { pack })) })
      : nothing}
  `;
}

/**
 * What a worker is at would be lost: that is asked first.
 * @param {Panel} panel @param {WorkerJson} worker @param {"restart" | "stop"} what @param {() => Promise<unknown>} doing
 */
async function ifSure({ confirm, t }, worker, what, doing) {
  const isAtWork = worker.state === "busy" || worker.open_calls > 0;
  const question = {
    title: t(`workers.${what}_busy`, { pack: worker.pack }),
    message: t("workers.busy_explained"),
    confirm: t(`workers.${what}`),
    isDangerous: true,
  };
  if (!isAtWork || (await confirm(question))) await doing();
}

/** @param {Panel} panel @param {WorkerJson} worker */
function details({ t, format }, worker) {
  const bytes = (/** @type {number | null} */ value) => (value === null ? null : format.bytes(value));
  const seconds = (/** @type {number | null} */ value) => (value === null ? null : format.duration(value));
  /** @type {[import("../strings.js").Key, string | null][]} */
  const rows = [
    ["workers.private", bytes(worker.private_bytes)],
    ["workers.pss", bytes(worker.pss_bytes)],
    ["workers.vram", bytes(worker.vram_bytes)],
    ["workers.objects", format.number(worker.objects)],
    ["workers.cpu_time", seconds(worker.cpu_seconds)],
    ["workers.idle_for", worker.state === "idle" ? seconds(worker.idle_s) : null],
    ["workers.started_in", seconds(worker.start_duration_s)],
    ["workers.end_before", worker.last_end],
  ];
  const known = rows.filter(([, value]) => value !== null);
  return html`<dl class="worker-details">${known.map(([key, value]) => html`<dt>${t(key)}</dt><dd>${value}</dd>`)}</dl>`;
}
