// @ts-check
/**
 * ComfyUI's page as our parts of it use it: its language, settings, toasts and sidebar.
 *
 * Only what both the oldest and the newest supported front end offer, and where they differ, told apart by asking for
 * the method.
 */

import { app } from "../../../scripts/app.js";
import { translator } from "../strings.js";

/** @import { Translate } from "../strings.js" */

export const TAB_ID = "comfy-env";

export const SETTINGS = /** @type {const} */ ({ nodeBadges: "comfy-env.NodeBadges", toasts: "comfy-env.Toasts" });

const TOAST_MS = 8000;
/** Longer: somebody has to read what went wrong and to decide. */
const ERROR_TOAST_MS = 20_000;

/** @returns {string} the language that the user chose for ComfyUI */
export function language() {
  return setting("Comfy.Locale") ?? navigator.language;
}

/** @type {Translate} */
export const t = (key, values) => translator(language())(key, values);

/** @param {string} id @returns {any} undefined for one that nobody registered */
export function setting(id) {
  return app.extensionManager?.setting.get(id);
}

/**
 * Shows a message for some seconds, unless the user switched ours off.
 *
 * `action`: a button in it, where the front end has toasts with buttons; `instead` is added to the text where it has not.
 * @param {{
 *   severity: "success" | "info" | "warn" | "error", summary: string, detail?: string,
 *   action?: { label: string, onClick: () => void }, instead?: string,
 * }} message
 */
export function toast({ severity, summary, detail = "", action, instead = "" }) {
  if (setting(SETTINGS.toasts) === false) return;
  const toasts = app.extensionManager.toast;
  const life = severity === "error" ? ERROR_TOAST_MS : TOAST_MS;
  if (action && toasts.error && toasts.info) {
    const say = severity === "error" ? toasts.error : toasts.info;
    say(summary, { description: detail, duration: life, action });
  } else {
    toasts.add({ severity, summary, detail: [detail, instead].filter(Boolean).join(" "), life });
  }
}

/** Opens our tab of the sidebar; nothing happens if it is open. */
export function openTab() {
  app.extensionManager.sidebarTab.activeSidebarTabId = TAB_ID;
}
