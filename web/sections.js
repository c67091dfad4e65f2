// @ts-check
/** The sections of the panel, in the order of their tabs. The first one is there from the start, the others come after it. */

import { whenIdle } from "./idle.js";
import { packsView } from "./views/packs.js";

/** @import { IconName } from "./icons.js" */
/** @import { TemplateResult } from "./html.js" */
/** @import { Panel, Section } from "./types.js" */

/** @typedef {(panel: Panel) => TemplateResult} View */

/**
 * The views of a section are shown one below the other. `styles`: what they look like, beside panel.css.
 * @type {Record<Section, { icon: IconName, styles: string[], load: () => Promise<View[]> }>}
 */
export const SECTIONS = {
  packs: { icon: "packs", styles: ["views/packs.css", "views/log.css"], load: async () => [packsView] },
  workers: {
    icon: "workers",
    styles: ["views/workers.css"],
    load: async () => [(await import("./views/workers.js")).workersView],
  },
  disk: {
    icon: "disk",
    styles: ["views/disk.css"],
    load: async () => [(await import("./views/disk.js")).diskView],
  },
  settings: {
    icon: "settings",
    styles: ["views/settings.css"],
    load: async () => [(await import("./views/settings.js")).settingsView],
  },
  help: {
    icon: "help",
    styles: ["views/settings.css"],
    load: async () => [
      (await import("./views/doctor.js")).doctorView,
      (await import("./views/support.js")).supportView,
    ],
  },
};

/** Which sections are there: each is loaded when it is asked for, or before that when there is nothing better to do. */
export class Sections {
  /** @type {Map<Section, View[]>} */
  #views = new Map([["packs", [packsView]]]);
  /** @type {Map<Section, unknown>} why a section could not be loaded */
  #errors = new Map();
  #dress;
  #redraw;
  #isAnticipating = false;

  /**
   * @param {(stylesheet: string) => Promise<unknown>} dress gets a stylesheet; settled when it is there
   * @param {() => void} redraw called when a section has come, or failed to
   */
  constructor(dress, redraw) {
    this.#dress = dress;
    this.#redraw = redraw;
    for (const name of SECTIONS.packs.styles) void dress(name);
  }

  /**
   * @param {Section} section
   * @returns {View[] | null} null: not yet. Throws why it cannot be had
   */
  views(section) {
    if (this.#errors.has(section)) throw this.#errors.get(section);
    const views = this.#views.get(section);
    if (!views) void this.#load(section);
    return views ?? null;
  }

  /** Loads all of them when the browser is idle. */
  anticipate() {
    if (this.#isAnticipating) return;
    this.#isAnticipating = true;
    whenIdle(() => {
      const missing = /** @type {Section[]} */ (Object.keys(SECTIONS)).filter((section) => !this.#views.has(section));
      for (const section of missing) void this.#load(section);
    });
  }

  /** @param {Section} section */
  async #load(section) {
    const { styles, load } = SECTIONS[section];
    try {
      const [views] = await Promise.all([load(), ...styles.map(this.#dress)]);
      this.#views.set(section, views);
    } catch (error) {
      this.#errors.set(section, error);
    }
    this.#redraw();
  }
}
