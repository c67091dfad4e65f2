// @ts-check
/** Where environments live, and moving them to another disk. */

import { html, nothing } from "../html.js";
import { latestJob } from "../jobs.js";
import { bar, button, note } from "./parts.js";

/** @import { JobJson, Panel, SettingsJson, StorePlace } from "../types.js" */

const KIND = "move-store";

/**
 * @param {Panel} panel
 * @param {SettingsJson["store"]} store
 */
export function storePlaceView(panel, store) {
  const { t } = panel;
  return html`<section class="setting-group">
    <h2>${t("place.title")}</h2>
    <p class="quiet">${t("place.means")}</p>
    <p class="mono path">${store.root}</p>
    <p class="quiet">${spaceOf(panel, panel.state.status.store)}</p>
    ${store.fixed_by ? note("info", t("settings.set_by", { variable: store.fixed_by })) : choiceView(panel, store)}
    ${moveView(panel, latestJob(panel.state.jobs, KIND))}
  </section>`;
}

/**
 * @param {Panel} panel
 * @param {SettingsJson["store"]} store
 */
function choiceView(panel, { places }) {
  const { t, ui, redraw, whyNot } = panel;
  const others = places.filter(({ is_current: isCurrent }) => !isCurrent);
  if (others.length === 0) return html`<p class="quiet">${t("place.nowhere_else")}</p>`;
  const chosen = others.find(({ id }) => id === ui.place);
  const isMoving = latestJob(panel.state.jobs, KIND)?.state === "running";
  return html`<fieldset class="places">
      <legend>${t("place.others")}</legend>
      ${others.map(
        (place) =>
          html`<label class="place">
            <input
              type="radio"
              name="place"
              .checked=${place === chosen}
              ?disabled=${whyNot !== null || isMoving}
              @change=${() => {
                ui.place = place.id;
                redraw();
              }}
            />
            <span><span class="mono path">${place.path}</span><br /><span class="quiet">${spaceOf(panel, place)}</span></span>
          </label>`,
      )}
    </fieldset>
    <div class="actions">
      ${button({
        label: t("place.move"),
        icon: "disk",
        whyNot: whyNot ?? (chosen && !isMoving ? null : t(isMoving ? "place.is_moving" : "place.choose")),
        onClick: panel.act(async () => chosen && move(panel, chosen)),
      })}
    </div>`;
}

/**
 * @param {Panel} panel
 * @param {StorePlace} place
 */
async function move({ confirm, server, t, ui }, place) {
  const isSure = await confirm({
    title: t("place.sure"),
    message: t("place.sure_means"),
    details: [place.path],
    confirm: t("place.move"),
  });
  if (!isSure) return;
  await server.post("/store/move", { place: place.id });
  ui.place = undefined;
}

/**
 * @param {Panel} panel
 * @param {JobJson | null} job
 */
function moveView({ t }, job) {
  if (job?.state === "running") {
    return html`<div class="is-busy" aria-live="polite">
      <p>${job.text || t("place.is_moving")}</p>
      ${bar(job.percent === null ? null : job.percent / 100, t("place.is_moving"))}
    </div>`;
  }
  if (job?.state === "done") return note("ready", t("place.moved"));
  if (job?.error) return note("failed", html`${job.error.message} ${job.error.remedy}`);
  return nothing;
}

/**
 * @param {Panel} panel
 * @param {{ free_bytes: number | null, total_bytes: number | null }} space
 */
function spaceOf({ format, t }, { free_bytes, total_bytes }) {
  if (free_bytes === null) return nothing;
  if (total_bytes === null) return t("place.free", { free: format.bytes(free_bytes) });
  return t("place.free_of", { free: format.bytes(free_bytes), total: format.bytes(total_bytes) });
}
