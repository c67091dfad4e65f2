// @ts-check
/** Where a text occurs in a log. Looks through it in slices, so that the page goes on drawing meanwhile. */

import { Deque } from "./deque.js";

/** @typedef {import("./lines.js").LogLines} LogLines */
/** @typedef {{ key: number, from: number, end: number }} Match a part of a line, by letters. */

/** Between two looks at the clock. */
const LINES_AT_ONCE = 500;

export class LogSearch {
  #lines;
  #pattern;
  #revision;
  /** @type {Deque<Match>} in the order of the lines. */
  #matches = new Deque();
  /** Looked through are the lines from `#first` to below `#end`. */
  #first;
  #end;

  /** @param {LogLines} lines @param {string} query plain text; case counts only where it has a capital letter. */
  constructor(lines, query) {
    this.query = query;
    this.#lines = lines;
    const caseCounts = query !== query.toLowerCase();
    this.#pattern = new RegExp(query.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), caseCounts ? "gu" : "giu");
    this.#revision = lines.revision;
    this.#first = this.#end = lines.firstKey;
  }

  get count() {
    return this.#matches.length;
  }

  /** Whether nothing that is known of the log was left out. */
  get isComplete() {
    const lines = this.#lines;
    return lines.revision === this.#revision && this.#first <= lines.firstKey && this.#end === lines.endKey;
  }

  /** @param {number} index from 0 @returns {Match} */
  at(index) {
    return this.#matches.at(this.#matches.firstKey + index);
  }

  /** @param {Match} match @returns {number} its index. */
  indexOf(match) {
    return this.#firstFrom(match.key, match.from);
  }

  /** @param {number} key @returns {Match[]} the matches in one line. */
  inLine(key) {
    const found = [];
    for (let index = this.#firstFrom(key, 0); index < this.count && this.at(index).key === key; index += 1) {
      found.push(this.at(index));
    }
    return found;
  }

  /** @param {number} key @returns {Match | null} the first one in that line or after it, else the last one before. */
  nearest(key) {
    if (this.count === 0) return null;
    const index = this.#firstFrom(key, 0);
    return this.at(Math.min(index, this.count - 1));
  }

  /** @param {Match} match @param {1 | -1} step @returns {Match} the next one or the one before, round the ends. */
  beside(match, step) {
    return this.at((this.indexOf(match) + step + this.count) % this.count);
  }

  /** Looks through lines that it has not seen, newer ones first, until `isTime`. @param {() => boolean} isTime */
  work(isTime) {
    this.#catchUp();
    while (!this.isComplete && !isTime()) {
      if (this.#end < this.#lines.endKey) {
        const end = Math.min(this.#lines.endKey, this.#end + LINES_AT_ONCE);
        this.#matches.append(this.#matchesBetween(this.#end, end));
        this.#end = end;
      } else {
        const first = Math.max(this.#lines.firstKey, this.#first - LINES_AT_ONCE);
        this.#matches.prepend(this.#matchesBetween(first, this.#first));
        this.#first = first;
      }
    }
  }

  /** Forgets what is gone: lines that were dropped, or all of them if others took their place. */
  #catchUp() {
    const { firstKey, revision } = this.#lines;
    if (revision !== this.#revision || firstKey > this.#end) {
      this.#matches = new Deque();
      this.#first = this.#end = firstKey;
      this.#revision = revision;
    } else if (firstKey > this.#first) {
      this.#matches.dropFirst(this.#firstFrom(firstKey, 0));
      this.#first = firstKey;
    }
  }

  /** @param {number} first @param {number} end keys of lines */
  #matchesBetween(first, end) {
    const found = [];
    for (let key = first; key < end; key += 1) {
      for (const match of this.#lines.at(key).matchAll(this.#pattern)) {
        found.push({ key, from: match.index, end: match.index + match[0].length });
      }
    }
    return found;
  }

  /** @param {number} key @param {number} letter @returns {number} the index of the first match there or after it. */
  #firstFrom(key, letter) {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      const match = this.at(middle);
      if (match.key < key || (match.key === key && match.from < letter)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
