// @ts-check
/** Removing what nobody needs any more: first what would go and why, then the question, then how it went. */

import { html, nothing } from "../html.js";
import { latestJob } from "../jobs.js";
import { Fetched } from "./fetched.js";
import { bar, button, disclosure, note } from "./parts.js";

/** @import { GcPreview, JobJson, Panel } from "../types.js" */

/**
 * What the view remembers: whether somebody wants to see what would go, and whether downloads are to go too.
 * @typedef {{ isOpen: boolean, caches: boolean }} Wish
 */

const JOB = "collect";

/** @param {Panel} panel */
export function cleanUpView(panel) {
  const { state, t, ui } = panel;
  const wish = /** @type {Wish} */ (ui.cleanUp ??= { isOpen: false, caches: false });
  const job = latestJob(state.jobs, JOB);
  const isRunning = job?.state === "running";
  return html`<section class="clean-up">
    <h2>${t("gc.title")}</h2>
    <p class="quiet">${t("gc.means")}</p>
    <div aria-live="polite">${job ? jobView(panel, job) : nothing}</div>
    ${isRunning ? nothing : wish.isOpen ? previewView(panel, wish, job) : opener(panel, wish)}
  </section>`;
}

/** @param {Panel} panel @param {Wish} wish */
function opener({ t, redraw }, wish) {
  const open = () => {
    wish.isOpen = true;
    redraw();
  };
  return html`<div class="actions">${button({ label: t("gc.look"), icon: "search", onClick: open })}</div>`;
}

/** @param {Panel} panel @param {Wish} wish @param {JobJson | null} job the clean-up before, after which things are different */
function previewView(panel, wish, job) {
  const { keep, redraw, server, t } = panel;
  const key = `clean-up ${wish.caches} ${job?.id}`;
  const preview = keep(key, () => new Fetched((signal) => server.get(`/gc?caches=${wish.caches}`, { signal }), redraw));
  const onCaches = (/** @type {Event} */ { target }) => {
    wish.caches = /** @type {HTMLInputElement} */ (target).checked;
    redraw();
  };
  return html`
    <label class="clean-up-caches">
      <input type="checkbox" .checked=${wish.caches} @change=${onCaches} />
      <span>${t("gc.caches")}<br /><span class="quiet">${t("gc.caches_explained")}</span></span>
    </label>
    ${preview.value || preview.error ? nothing : html`<p class="quiet" role="status">${t("gc.looking")}</p>`}
    ${preview.value || preview.error ? preview.view(panel, (plan) => planView(panel, plan, wish)) : nothing}
  `;
}

/** @param {Panel} panel @param {GcPreview} plan @param {Wish} wish */
function planView(panel, plan, wish) {
  const { act, format, t, whyNot } = panel;
  const keeps = plan.kept.length
    ? disclosure(panel, {
        key: "clean-up kept",
        title: t("gc.kept"),
        extra: format.number(plan.kept.length),
        content: () => html`<ul class="clean-up-list">${plan.kept.map(({ name, reason }) => html`<li><b>${name}</b><span class="quiet">${reason}</span></li>`)}</ul>`,
      })
    : nothing;
  if (plan.items.length === 0) return html`<p>${t("gc.nothing")}</p>${keeps}`;
  const size = format.bytes(plan.freed_bytes);
  return html`
    <ul class="clean-up-list" aria-label=${t("gc.items")}>
      ${plan.items.map(
        ({ kind, name, reason, size_bytes }) => html`<li>
          <b>${name}</b><span class="clean-up-size">${format.bytes(size_bytes)}</span>
          <span class="quiet">${kind}: ${reason}</span>
        </li>`,
      )}
    </ul>
    <div class="actions">
      ${button({
        label: t("gc.remove", { size }),
        icon: "trash",
        kind: "dangerous",
        whyNot,
        onClick: act(() => removeIfSure(panel, plan, wish, size)),
      })}
    </div>
    ${keeps}
  `;
}

/** @param {Panel} panel @param {GcPreview} plan @param {Wish} wish @param {string} size */
async function removeIfSure({ confirm, format, server, t }, plan, wish, size) {
  const question = {
    title: t("gc.confirm", { size }),
    message: t(wish.caches ? "gc.confirm_with_caches" : "gc.confirm_explained"),
    confirm: t("gc.remove", { size }),
    details: plan.items.map(({ name, size_bytes }) => `${name} (${format.bytes(size_bytes)})`),
    isDangerous: true,
  };
  if (!(await confirm(question))) return;
  await server.post("/gc", { caches: wish.caches });
  wish.isOpen = false;
}

/** @param {Panel} panel @param {JobJson} job */
function jobView(panel, job) {
  const { format, keep, model, redraw, t } = panel;
  if (job.state === "running") {
    const fraction = job.percent === null ? null : job.percent / 100;
    return html`<p>${job.text || t("gc.removing")}</p>${bar(fraction, t("gc.removing"))}`;
  }
  if (job.error) return note("failed", html`${job.error.message} ${job.error.remedy}`);
  if (job.state !== "done") return nothing;
  // The picture is of before.
  keep(`disk after ${job.id}`, () => new Fetched(() => model.loadDisk(true).then(() => true), redraw));
  const { freed_bytes, removed, left } = job.result;
  const outcome = t("gc.done", { count: removed.length, size: format.bytes(freed_bytes) });
  if (left.length === 0) return note("ready", outcome);
  return note("warning", html`${outcome} ${t("gc.left", { count: left.length })}
    <ul class="clean-up-list">${left.map((/** @type {{ name: string, reason: string }} */ { name, reason }) => html`<li><b>${name}</b><span class="quiet">${reason}</span></li>`)}</ul>`);
}
