// @ts-check
/** What the icon of our tab says while the panel is closed. Pure. */

/** @import { State } from "../types.js" */

export const ICON = "pi pi-box";
export const ICON_BUSY = "pi pi-spin pi-spinner";

const UNDER_WAY = new Set(["queued", "building", "verifying"]);

/**
 * The number of builds under way; else "!" when something failed or waits to be looked at; else nothing.
 * @param {State} state
 * @param {boolean} isCalling
 * @returns {{ icon: string, badge: string | null }}
 */
export function tabIcon(state, isCalling) {
  const building = [...state.builds.values()].filter((build) => UNDER_WAY.has(build.state)).length;
  if (building > 0) return { icon: ICON_BUSY, badge: String(building) };
  const hasFailed = [...state.sites.values()].some((site) => site.state === "failed");
  return { icon: ICON, badge: hasFailed || isCalling ? "!" : null };
}
