// @ts-check
/** The panel as a page of its own, at /comfy-env/: for whoever wants it in a window beside ComfyUI. */

import { Model } from "./model.js";
import { Server } from "./server.js";
import { known } from "./strings.js";
import { ownTransport } from "./transports.js";

/** @import { Section, Target } from "./types.js" */

/**
 * The address remembers what is shown, so that a reload shows it again: #packs/some-pack.
 * @returns {Target}
 */
function targetInAddress() {
  const [section, pack] = location.hash.slice(1).split("/").map(decodeURIComponent);
  if (section !== "packs") return { section: SECTIONS.has(section) ? /** @type {Section} */ (section) : "packs" };
  return pack ? { section, pack } : { section };
}

/** @param {Target} target */
function rememberInAddress({ section, pack }) {
  const hash = [section, ...(pack ? [pack] : [])].map(encodeURIComponent).join("/");
  if (location.hash.slice(1) !== hash) history.pushState(null, "", `#${hash}`);
}

const SECTIONS = new Set(["packs", "workers", "disk", "settings", "help"]);

const language = new URLSearchParams(location.search).get("language") ?? navigator.language;
document.documentElement.lang = known(language);

const server = new Server(ownTransport());
const model = new Model(server);
// The server is asked while what shows its answer is still being loaded.
const started = model.start();
const { mountPanel } = await import("./panel.js");
const place = /** @type {HTMLElement} */ (document.getElementById("panel"));
const panel = mountPanel(place, { model, server, language, target: targetInAddress(), onShow: rememberInAddress });
addEventListener("popstate", () => panel.show(targetInAddress()));

await started;
requestAnimationFrame(() => performance.mark("comfy-env interactive"));
