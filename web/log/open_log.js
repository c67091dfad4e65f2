// @ts-check
/** One log that is open: what fills it, what shows it, and what is looked for in it. */

import { LogFeed } from "./feed.js";
import { LogScroller } from "./scroller.js";
import { LogSearch } from "./search.js";

/** @import { Server } from "../server.js" */
/** @import { LogEvent } from "../types.js" */

/** Of each frame, for looking through lines: the rest is for drawing them. */
const SEARCH_MS = 6;

export class OpenLog {
  feed;
  scroller;
  #changed;
  #searchFrame = 0;
  #isClosed = false;

  /**
   * @param {{ server: Server, source: LogEvent["source"], build: number, changed: () => void }} options `build`: as in
   *   `LogFeed`; `changed`: called when anything is different that is shown beside the lines
   */
  constructor({ server, source, build, changed }) {
    this.#changed = changed;
    this.feed = new LogFeed({ server, source, build, changed: () => this.#lookAgain() });
    this.scroller = new LogScroller(this.feed.lines, { onScroll: changed, onTop: () => void this.feed.loadOlder() });
  }

  /** Shows and asks nothing from now on. */
  close() {
    this.#isClosed = true;
    this.feed.pause();
    this.scroller.dispose();
    cancelAnimationFrame(this.#searchFrame);
  }

  /** What is looked for; "" for nothing. */
  get query() {
    return this.scroller.search?.query ?? "";
  }

  /** How many matches there are so far, which of them the user went to (from 1; 0: none), and whether there may be more. */
  get found() {
    const { search, match } = this.scroller;
    if (!search) return { count: 0, place: 0, isSearching: false };
    const isSearching = !search.isComplete || this.feed.hasOlder;
    return { count: search.count, place: match ? search.indexOf(match) + 1 : 0, isSearching };
  }

  /** Looks through all of the log, also what is not loaded yet. @param {string} query */
  search(query) {
    this.scroller.match = null;
    this.scroller.search = query ? new LogSearch(this.feed.lines, query) : null;
    if (query) void this.feed.loadAll();
    this.#lookAgain();
  }

  /** Goes to the next match, or the one before; to the nearest if none was gone to. @param {1 | -1} step */
  step(step) {
    const { search, match, firstKeyInSight } = this.scroller;
    const next = match ? search?.beside(match, step) : search?.nearest(firstKeyInSight);
    if (next) this.scroller.reveal(next);
    this.#changed();
  }

  async toBeginning() {
    await this.feed.loadAll();
    this.scroller.toBeginning();
    this.#changed();
  }

  /** @returns {Promise<string>} all of it, as far as it is held at all */
  async text() {
    await this.feed.loadAll();
    return this.feed.lines.slice().join("\n") + "\n";
  }

  /** Lines came or went. */
  #lookAgain() {
    if (this.#isClosed) return; // an answer that was under way
    if (this.scroller.search) this.#searchFrame ||= requestAnimationFrame(() => this.#searchOn());
    this.scroller.draw();
    this.#changed();
  }

  #searchOn() {
    this.#searchFrame = 0;
    const { search, match, firstKeyInSight } = this.scroller;
    if (!search) return;
    const until = performance.now() + SEARCH_MS;
    search.work(() => performance.now() > until);
    const nearest = search.isComplete && !match ? search.nearest(firstKeyInSight) : null;
    if (nearest) this.scroller.reveal(nearest);
    if (!search.isComplete) this.#lookAgain();
    this.scroller.draw();
    this.#changed();
  }
}
