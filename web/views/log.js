// @ts-check
/**
 * A log as it is written: 100,000 lines and more, of which those in sight are in the document. Follows the end until the user
 * scrolls up; searches, copies and saves all of it.
 */

import { formats } from "../format.js";
import { copyText, saveAsFile } from "../handover.js";
import { render } from "../html.js";
import { LogFeed } from "../log/feed.js";
import { commandOf } from "../log/keys.js";
import { LogScroller } from "../log/scroller.js";
import { LogSearch } from "../log/search.js";
import { shellView } from "../log/shell.js";

/** @import { Format } from "../format.js" */
/** @import { Command } from "../log/keys.js" */
/** @import { Match } from "../log/search.js" */
/** @import { Server } from "../server.js" */
/** @import { Translate } from "../strings.js" */
/** @import { LogEvent } from "../types.js" */

/** Of each frame, for looking through lines: the rest is for drawing them. */
const SEARCH_MS = 6;
const SAID_MS = 4000;

/** Asks the server for nothing while it is out of sight. Whoever makes one puts `element` somewhere, and disposes of it. */
export class LogView {
  element = document.createElement("section");
  #source;
  #t;
  #format;
  #feed;
  #scroller;
  /** @type {HTMLElement | undefined} */
  #field;
  /** @type {boolean | null} */
  #isGrowing = null;
  #isInSight = false;
  #said = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #saidTimer;
  #searchFrame = 0;
  #shellFrame = 0;
  /** The end of the lines when the user left it. */
  #seenEnd = 0;
  #sight = new IntersectionObserver((entries) => this.#sightChanged(entries[entries.length - 1].isIntersecting));
  #onVisibility = () => this.#resumeOrPause();

  /**
   * @param {{ server: Server, source: LogEvent["source"], t: Translate, format?: Format }} options
   */
  constructor({ server, source, t, format = formats("en") }) {
    this.#source = source;
    this.#t = t;
    this.#format = format;
    this.#feed = new LogFeed({ server, source, changed: () => this.#changed() });
    this.#scroller = new LogScroller(this.#feed.lines, {
      onScroll: () => this.#drawShell(),
      onTop: () => void this.#feed.loadOlder(),
    });
    this.#scroller.element.setAttribute("aria-label", t("log.label", { name: source.id }));
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
    this.#feed.pause();
    this.#scroller.dispose();
    this.#sight.disconnect();
    document.removeEventListener("visibilitychange", this.#onVisibility);
    cancelAnimationFrame(this.#searchFrame);
    cancelAnimationFrame(this.#shellFrame);
    clearTimeout(this.#saidTimer);
  }

  // --- when it is looked at ---

  /** @param {boolean} isInSight */
  #sightChanged(isInSight) {
    this.#isInSight = isInSight;
    this.#resumeOrPause();
  }

  #resumeOrPause() {
    if (this.#isInSight && document.visibilityState === "visible") this.#feed.resume();
    else this.#feed.pause();
  }

  // --- drawing ---

  #changed() {
    this.#searchOn();
    this.#scroller.draw();
    this.#drawShell();
  }

  #drawShell() {
    this.#shellFrame ||= requestAnimationFrame(() => this.#renderShell());
  }

  #renderShell() {
    this.#shellFrame = 0;
    const { lines } = this.#feed;
    const { search, match, sticks } = this.#scroller;
    if (sticks) this.#seenEnd = lines.endKey;
    const shell = {
      feed: this.#feed,
      scroller: this.#scroller,
      query: search?.query ?? "",
      count: search?.count ?? 0,
      place: search && match ? search.indexOf(match) + 1 : 0,
      isSearching: search !== null && (!search.isComplete || this.#feed.hasOlder),
      unseen: lines.endKey - this.#seenEnd,
      isGrowing: this.#isGrowing,
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
    search: (/** @type {string} */ query) => this.#search(query),
    step: (/** @type {1 | -1} */ step) => this.#step(step),
    toggleEnd: () => this.#toggleEnd(),
    toggleWrap: () => this.#toggleWrap(),
    copy: () => void this.#copy(),
    download: () => void this.#download(),
    retry: () => void this.#feed.retry(),
    toEnd: () => this.#toEnd(),
  };

  /** @param {string} text shown for a moment, and told to screen readers */
  #say(text) {
    this.#said = text;
    this.#drawShell();
    clearTimeout(this.#saidTimer);
    if (text) this.#saidTimer = setTimeout(() => this.#say(""), SAID_MS);
  }

  // --- searching ---

  /** @param {string} query */
  #search(query) {
    this.#scroller.match = null;
    this.#scroller.search = query ? new LogSearch(this.#feed.lines, query) : null;
    if (query) void this.#feed.loadAll();
    this.#changed();
  }

  #searchOn() {
    if (this.#scroller.search) this.#searchFrame ||= requestAnimationFrame(() => this.#searchNow());
  }

  #searchNow() {
    this.#searchFrame = 0;
    const { search, match, firstKeyInSight } = this.#scroller;
    if (!search) return;
    const until = performance.now() + SEARCH_MS;
    search.work(() => performance.now() > until);
    const nearest = search.isComplete && !match ? search.nearest(firstKeyInSight) : null;
    if (nearest) this.#scroller.reveal(nearest);
    if (!search.isComplete) this.#searchOn();
    this.#scroller.draw();
    this.#drawShell();
  }

  /** @param {1 | -1} step */
  #step(step) {
    const { search, match } = this.#scroller;
    if (!search?.count) return;
    const { firstKeyInSight } = this.#scroller;
    this.#scroller.reveal(match ? search.beside(match, step) : /** @type {Match} */ (search.nearest(firstKeyInSight)));
    this.#drawShell();
  }

  // --- what the user does ---

  #toggleEnd() {
    if (!this.#scroller.sticks) return this.#toEnd();
    this.#scroller.sticks = false;
    this.#drawShell();
  }

  #toEnd() {
    this.#scroller.toEnd();
    this.#scroller.element.focus({ preventScroll: true });
    this.#drawShell();
  }

  #toggleWrap() {
    this.#scroller.isWrapped = !this.#scroller.isWrapped;
    this.#drawShell();
  }

  async #toBeginning() {
    await this.#feed.loadAll();
    this.#scroller.toBeginning();
    this.#drawShell();
  }

  /** The selection, or everything. */
  async #copy() {
    const selected = this.#scroller.selection.isAll ? "" : this.#scroller.selection.text();
    const text = selected || (await this.#wholeText());
    const count = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
    const number = this.#format.number(count);
    this.#say((await copyText(text)) ? this.#t("log.copied", { count, number }) : this.#t("log.not_copied"));
  }

  async #download() {
    saveAsFile(await this.#wholeText(), `${this.#source.id.replace(/[^\w.-]+/g, "-")}.log`);
  }

  async #wholeText() {
    await this.#feed.loadAll();
    return this.#feed.lines.slice().join("\n") + "\n";
  }

  /** @param {ClipboardEvent} event */
  #onCopy(event) {
    if (event.composedPath()[0] === this.#field) return;
    const text = this.#scroller.selection.text();
    if (!text) return;
    event.clipboardData?.setData("text/plain", text);
    event.preventDefault();
    event.stopPropagation(); // ComfyUI would copy the nodes that are selected on its canvas
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const [target] = event.composedPath();
    const place = target === this.#field ? "search" : target === this.#scroller.element ? "lines" : "elsewhere";
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
    next: () => this.#step(1),
    previous: () => this.#step(-1),
    leaveSearch: () => this.#leaveSearch(),
    toBeginning: () => void this.#toBeginning(),
    toEnd: () => this.#toEnd(),
    selectAll: () => this.#scroller.selection.selectAll(),
  };

  #leaveSearch() {
    this.#search("");
    this.#scroller.element.focus({ preventScroll: true });
  }
}
