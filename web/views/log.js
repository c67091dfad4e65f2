// @ts-check
/**
 * A log as it is written: 100,000 lines and more, of which those in sight are in the document. Follows the end until the user
 * scrolls up; searches, copies and saves all of it.
 */

import { formats } from "../format.js";
import { copyText, saveAsFile } from "../handover.js";
import { render } from "../html.js";
import { commandOf } from "../log/keys.js";
import { OpenLog } from "../log/open_log.js";
import { shellView } from "../log/shell.js";

/** @import { Format } from "../format.js" */
/** @import { Command } from "../log/keys.js" */
/** @import { Server } from "../server.js" */
/** @import { Translate } from "../strings.js" */
/** @import { LogEvent } from "../types.js" */

const SAID_MS = 4000;

/** Asks the server for nothing while it is out of sight. Whoever makes one puts `element` somewhere, and disposes of it. */
export class LogView {
  element = document.createElement("section");
  #server;
  #source;
  #t;
  #format;
  /** 0 for the log of now; 1 and 2: of the builds before. */
  #build = 0;
  #log;
  /** @type {HTMLElement | undefined} */
  #field;
  /** @type {boolean | null} */
  #isGrowing = null;
  #isInSight = false;
  #said = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #saidTimer;
  #shellFrame = 0;
  /** The end of the lines when the user left it. */
  #seenEnd = 0;
  #sight = new IntersectionObserver((entries) => this.#sightChanged(entries[entries.length - 1].isIntersecting));
  #onVisibility = () => this.#resumeOrPause();

  /**
   * @param {{ server: Server, source: LogEvent["source"], t: Translate, format?: Format }} options
   */
  constructor({ server, source, t, format = formats("en") }) {
    this.#server = server;
    this.#source = source;
    this.#t = t;
    this.#format = format;
    this.#log = this.#open();
    this.element.className = "log";
    this.element.addEventListener("keydown", (event) => this.#onKey(event));
    this.element.addEventListener("copy", (event) => this.#onCopy(event));
    document.addEventListener("visibilitychange", this.#onVisibility);
    this.#sight.observe(this.element);
    this.#renderShell();
  }

  /** Whether what writes the log is at work; null if nobody knows. */
  get isGrowing() {
    return this.#isGrowing;
  }

  set isGrowing(isGrowing) {
    if (this.#isGrowing === isGrowing) return;
    this.#isGrowing = isGrowing;
    this.#drawShell();
  }

  dispose() {
    this.#log.close();
    this.#sight.disconnect();
    document.removeEventListener("visibilitychange", this.#onVisibility);
    cancelAnimationFrame(this.#shellFrame);
    clearTimeout(this.#saidTimer);
  }

  #open() {
    const changed = () => this.#drawShell();
    const log = new OpenLog({ server: this.#server, source: this.#source, build: this.#build, changed });
    log.scroller.element.setAttribute("aria-label", this.#t("log.label", { name: this.#source.id }));
    return log;
  }

  /** @param {number} build */
  #showBuild(build) {
    const { query } = this.#log;
    this.#log.close();
    this.#build = build;
    this.#log = this.#open();
    this.#log.search(query);
    this.#resumeOrPause();
  }

  // --- when it is looked at ---

  /** @param {boolean} isInSight */
  #sightChanged(isInSight) {
    this.#isInSight = isInSight;
    this.#resumeOrPause();
  }

  #resumeOrPause() {
    if (this.#isInSight && document.visibilityState === "visible") this.#log.feed.resume();
    else this.#log.feed.pause();
  }

  // --- drawing what is around the lines ---

  #drawShell() {
    this.#shellFrame ||= requestAnimationFrame(() => this.#renderShell());
  }

  #renderShell() {
    this.#shellFrame = 0;
    const { feed, scroller, query, found } = this.#log;
    const { endKey } = feed.lines;
    if (scroller.sticks) this.#seenEnd = endKey;
    const shell = {
      feed,
      scroller,
      query,
      ...found,
      unseen: endKey - this.#seenEnd,
      isGrowing: this.#build > 0 ? false : this.#isGrowing,
      build: this.#build,
      hasBuilds: this.#source.kind === "environment",
      said: this.#said,
      t: this.#t,
      format: this.#format,
      actions: this.#actions,
      onField: this.#onField,
    };
    render(shellView(shell), this.element);
  }

  /** @param {Element | undefined} field */
  #onField = (field) => void (this.#field = /** @type {HTMLElement | undefined} */ (field));

  #actions = {
    search: (/** @type {string} */ query) => this.#log.search(query),
    step: (/** @type {1 | -1} */ step) => this.#log.step(step),
    toggleEnd: () => this.#toggleEnd(),
    toggleWrap: () => this.#toggleWrap(),
    copy: () => void this.#copy(),
    download: () => void this.#download(),
    retry: () => void this.#log.feed.retry(),
    showBuild: (/** @type {number} */ build) => this.#showBuild(build),
    toEnd: () => this.#toEnd(),
  };

  /** @param {string} text shown for a moment, and told to screen readers */
  #say(text) {
    this.#said = text;
    this.#drawShell();
    clearTimeout(this.#saidTimer);
    if (text) this.#saidTimer = setTimeout(() => this.#say(""), SAID_MS);
  }

  // --- what the user does ---

  #toggleEnd() {
    const { scroller } = this.#log;
    if (!scroller.sticks) return this.#toEnd();
    scroller.sticks = false;
    this.#drawShell();
  }

  #toEnd() {
    this.#log.scroller.toEnd();
    this.#focusLines();
    this.#drawShell();
  }

  #toggleWrap() {
    const { scroller } = this.#log;
    scroller.isWrapped = !scroller.isWrapped;
    this.#drawShell();
  }

  #leaveSearch() {
    this.#log.search("");
    this.#focusLines();
  }

  #focusLines() {
    this.#log.scroller.element.focus({ preventScroll: true });
  }

  /** The selection, or everything. */
  async #copy() {
    const { selection } = this.#log.scroller;
    const text = (!selection.isAll && selection.text()) || (await this.#log.text());
    const count = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
    const number = this.#format.number(count);
    this.#say((await copyText(text)) ? this.#t("log.copied", { count, number }) : this.#t("log.not_copied"));
  }

  async #download() {
    saveAsFile(await this.#log.text(), `${this.#source.id.replace(/[^\w.-]+/g, "-")}.log`);
  }

  /** @param {ClipboardEvent} event */
  #onCopy(event) {
    if (event.composedPath()[0] === this.#field) return;
    const text = this.#log.scroller.selection.text();
    if (!text) return;
    event.clipboardData?.setData("text/plain", text);
    event.preventDefault();
    event.stopPropagation(); // ComfyUI would copy the nodes that are selected on its canvas
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const [target] = event.composedPath();
    const place = target === this.#field ? "search" : target === this.#log.scroller.element ? "lines" : "elsewhere";
    const command = commandOf(event, place);
    // ComfyUI has commands of its own on many keys: Delete must not delete the nodes that are selected on its canvas.
    if (command || !(event.ctrlKey || event.metaKey)) event.stopPropagation();
    if (!command) return;
    event.preventDefault();
    this.#commands[command]();
  }

  /** @type {Record<Command, () => void>} */
  #commands = {
    search: () => this.#field?.focus(),
    next: () => this.#log.step(1),
    previous: () => this.#log.step(-1),
    leaveSearch: () => this.#leaveSearch(),
    toBeginning: () => void this.#log.toBeginning(),
    toEnd: () => this.#toEnd(),
    selectAll: () => this.#log.scroller.selection.selectAll(),
  };
}
