// @ts-check
/**
 * The panel: sections, what is shown of them, and when it is drawn anew. Mounted by the page that stands alone and by the
 * tab in ComfyUI's sidebar, with a model that outlives it.
 */

import { formats } from "./format.js";
import { render } from "./html.js";
import { announcement, cards } from "./overview.js";
import { newElement } from "./panel_element.js";
import { Sections } from "./sections.js";
import { ServerError } from "./server.js";
import { known, translator } from "./strings.js";
import { confirmed } from "./views/dialog.js";
import { frameView } from "./views/frame.js";
import { wordsOf } from "./words.js";

/** @import { Model } from "./model.js" */
/** @import { Server } from "./server.js" */
/** @import { Panel, Question, State, Surroundings, Target } from "./types.js" */

const TICK_MS = 1000;
const LINES_HEARD = 5;

/** States in which something counts up that no event tells of: the time. */
const UNDER_WAY = new Set(["queued", "building", "verifying"]);

/**
 * What a drawing needs for as long as drawings ask for it.
 * @typedef {{ dispose: () => void }} Kept
 */

/**
 * @param {HTMLElement} element emptied and filled with the panel
 * @param {{ model: Model, server: Server, language: string, comfyui?: Surroundings, target?: Target,
 *   onShow?: (target: Target) => void }} options `onShow`: hears what is shown
 * @returns {{ unmount: () => void, show: (target: Target) => void }}
 */
export function mountPanel(element, options) {
  const mounted = new MountedPanel(options);
  element.replaceChildren(mounted.element);
  return {
    unmount: () => mounted.element.remove(),
    show: (target) => mounted.show(target),
  };
}

class MountedPanel {
  element = newElement();
  #options;
  #t;
  #format;
  /** @type {Target} */
  #target;
  #shadow = this.element.root;
  #sections = new Sections((stylesheet) => this.element.dress(stylesheet), () => this.#drawSoon());
  #place = document.createElement("div");
  #voice = document.createElement("div");
  /** @type {Map<string, Record<string, any>>} what the view of each section remembers */
  #memories = new Map();
  /** @type {Map<string, Kept>} */
  #kept = new Map();
  /** @type {Set<string>} keys that the drawing under way asked for */
  #asked = new Set();
  /** @type {State} */
  #drawn;
  /** @type {{ message: string, remedy: string } | null} why the last thing the user asked for did not happen */
  #failure = null;
  /** @type {() => void} */
  #unsubscribe = () => {};
  /** @type {string | null} a selector of what gets the focus at the next drawing */
  #focusNext = null;
  #frame = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #tick;

  /** @param {Parameters<typeof mountPanel>[1]} options */
  constructor(options) {
    this.#options = options;
    this.#t = translator(options.language);
    this.#format = formats(known(options.language));
    this.#target = options.target ?? { section: "packs" };
    this.#drawn = options.model.state;
    this.element.lang = known(options.language);
    this.#voice.className = "unseen";
    // Of a log, what is added is read out; a status would be read again as a whole.
    this.#voice.setAttribute("role", "log");
    this.#place.className = "panel";
    this.#shadow.append(this.#place, this.#voice);
    this.element.onConnected = () => this.#begin();
    this.element.onDisconnected = () => this.#end();
  }

  /** @param {Target} target */
  show(target) {
    this.#focusNext = whereFocusGoes(this.#target, target);
    this.#target = target;
    // Whoever asks for the log wants to see it, also if it was closed by hand before.
    if (target.log || target.file) this.#memory(target.section).opened?.clear();
    this.#options.onShow?.(target);
    this.#drawSoon();
  }

  #begin() {
    this.#drawn = this.#options.model.state;
    this.#unsubscribe = this.#options.model.subscribe((state) => this.#changed(state));
    this.#draw();
  }

  #end() {
    this.#unsubscribe();
    clearTimeout(this.#tick);
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    for (const kept of this.#kept.values()) kept.dispose();
    this.#kept.clear();
  }

  /** @param {State} state */
  #changed(state) {
    const text = announcement(this.#drawn, state, this.#t);
    if (text) this.#say(text);
    this.#drawn = state;
    this.#drawSoon();
  }

  /** Many changes in one frame are one drawing; in a hidden page, none until it is seen. */
  #drawSoon() {
    if (!this.element.isConnected) return;
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    const focused = this.#shadow.activeElement;
    this.#asked.clear();
    const panel = this.#panel();
    render(frameView(panel, this.#sections, this.#failure, () => this.#forgetFailure()), this.#place);
    if (panel.state.phase !== "loading") this.#sections.anticipate();
    this.#disposeOfTheRest();
    // A card that moved up in the list was taken out and put in again, which takes the focus from it.
    if (focused instanceof HTMLElement && focused !== this.#shadow.activeElement) focused.focus({ preventScroll: true });
    this.#giveFocus();
    this.#tickWhileBuilding();
  }

  #giveFocus() {
    const wanted = this.#focusNext;
    this.#focusNext = null;
    if (wanted) /** @type {HTMLElement | null} */ (this.#shadow.querySelector(wanted))?.focus();
  }

  /** @returns {Panel} */
  #panel() {
    const { model, server, comfyui = {} } = this.#options;
    const { policy } = model.state.status;
    return {
      state: model.state,
      cards: cards(model.state),
      model,
      server,
      target: this.#target,
      t: this.#t,
      format: this.#format,
      show: (target) => this.show(target),
      confirm: (question) => this.#confirm(question),
      act: (doing, saying) => this.#listener(doing, saying),
      announce: (text) => this.#say(text),
      ui: this.#memory(this.#target.section),
      redraw: () => this.#drawSoon(),
      keep: (key, make) => this.#keep(key, make),
      whyNot: policy.may_change ? null : (policy.why_not ?? this.#t("frame.read_only")),
      surroundings: comfyui,
    };
  }

  /** @param {string} section */
  #memory(section) {
    const memory = this.#memories.get(section) ?? {};
    this.#memories.set(section, memory);
    return memory;
  }

  /**
   * @template {Kept} Thing
   * @param {string} key
   * @param {() => Thing} make
   * @returns {Thing}
   */
  #keep(key, make) {
    this.#asked.add(key);
    const kept = /** @type {Thing | undefined} */ (this.#kept.get(key)) ?? make();
    this.#kept.set(key, kept);
    return kept;
  }

  #disposeOfTheRest() {
    for (const [key, kept] of this.#kept) {
      if (this.#asked.has(key)) continue;
      this.#kept.delete(key);
      kept.dispose();
    }
  }

  /**
   * @param {() => Promise<unknown>} doing
   * @param {string} [saying]
   */
  #listener(doing, saying) {
    return async (/** @type {Event} */ event) => {
      const button = /** @type {HTMLElement} */ (event.currentTarget);
      if (button.ariaBusy === "true") return;
      button.ariaBusy = "true";
      try {
        await doing();
        this.#forgetFailure();
        if (saying) this.#say(saying);
      } catch (error) {
        this.#fail(error);
      } finally {
        button.ariaBusy = null;
      }
    };
  }

  /** @param {unknown} error */
  #fail(error) {
    const { message, remedy } = wordsOf(error, this.#t);
    this.#failure = { message, remedy };
    this.#drawSoon();
    if (!(error instanceof ServerError)) throw error; // a mistake of ours: also for the console
  }

  #forgetFailure() {
    this.#failure = null;
    this.#drawSoon();
  }

  /** @param {Question} question */
  async #confirm(question) {
    const ask = this.#options.comfyui?.confirm ?? ((question) => confirmed(question, this.#shadow, this.#t));
    return (await ask(question)) === true;
  }

  /** @param {string} text for screen readers; one right after another is still heard */
  #say(text) {
    const line = document.createElement("p");
    line.textContent = text;
    this.#voice.append(line);
    while (this.#voice.children.length > LINES_HEARD) this.#voice.firstChild?.remove();
  }

  #tickWhileBuilding() {
    clearTimeout(this.#tick);
    const { builds, jobs } = this.#options.model.state;
    const isUnderWay =
      [...builds.values()].some(({ state }) => UNDER_WAY.has(state)) ||
      [...jobs.values()].some(({ state }) => state === "running");
    if (isUnderWay) this.#tick = setTimeout(() => this.#drawSoon(), TICK_MS);
  }
}

/**
 * Whoever opens something is taken to its heading, and whoever closes it back to where it was opened.
 * @param {Target} before
 * @param {Target} after
 * @returns {string | null} a selector
 */
function whereFocusGoes(before, after) {
  if (after.section === "packs" && (after.log || after.file)) return `[data-part=${after.log ? "log" : "file"}] button`;
  if (after.pack !== undefined && after.pack !== before.pack) return "[data-takes-focus]";
  if (after.section === before.section && before.pack !== undefined && after.pack === undefined) {
    return `[data-pack="${CSS.escape(before.pack)}"] .card-name`;
  }
  return null;
}
