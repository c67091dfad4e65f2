// @ts-check
/**
 * Lines as rows of equal height: one row a line, or as many as it takes to show a long line without scrolling sideways.
 * Lines are broken here and not by the browser: where a row is must be known without laying out all before it.
 */

import { breaksOf, cellsOf, shownPart } from "./text.js";

/** @typedef {import("./lines.js").LogLines} LogLines */
/**
 * A part of a line, by letters. `hidden`: how many of the line follow that no row shows, 0 but for the last row of a very
 * long line.
 * @typedef {{ key: number, from: number, end: number, hidden: number }} Row
 */
/** @typedef {StraightRows | WrappedRows} Rows */

/** Each line is one row. */
export class StraightRows {
  #lines;

  /** @param {LogLines} lines */
  constructor(lines) {
    this.#lines = lines;
  }

  get count() {
    return this.#lines.length;
  }

  /** @param {number} index @param {number} [match] a letter that must be shown @returns {Row} */
  at(index, match) {
    const key = this.#lines.firstKey + index;
    const line = this.#lines.at(key);
    const { from, end } = shownPart(line, match);
    return { key, from, end, hidden: line.length - end };
  }

  /** @param {number} key of a line @returns {number} the index of its row. */
  rowOf(key) {
    return key - this.#lines.firstKey;
  }

  /** Takes up the lines that came and went. */
  update() {}
}

/** Each line is as many rows as its shown part needs in `columns` cells. */
export class WrappedRows {
  #lines;
  #columns;
  /** @type {number[]} for each line the count of rows up to its end. */
  #ends = [];
  #firstKey = 0;
  #revision = -1;

  /** @param {LogLines} lines @param {number} columns */
  constructor(lines, columns) {
    this.#lines = lines;
    this.#columns = Math.max(2, columns);
    this.update();
  }

  get count() {
    return this.#ends.at(-1) ?? 0;
  }

  /** @param {number} index @returns {Row} */
  at(index) {
    const line = this.#lineAt(index);
    const key = this.#firstKey + line;
    const text = this.#lines.at(key);
    const { end } = shownPart(text);
    const places = [0, ...breaksOf(text.slice(0, end), this.#columns), end];
    const part = index - this.#startOf(line);
    const isLast = places[part + 1] === end;
    return { key, from: places[part], end: places[part + 1], hidden: isLast ? text.length - end : 0 };
  }

  /** @param {number} key @param {number} [letter] @returns {number} the index of the row that has this letter of it. */
  rowOf(key, letter = 0) {
    const text = this.#lines.at(key);
    const breaks = breaksOf(text.slice(0, shownPart(text).end), this.#columns);
    return this.#startOf(key - this.#firstKey) + breaks.filter((place) => place <= letter).length;
  }

  update() {
    const lines = this.#lines;
    if (lines.firstKey !== this.#firstKey || lines.revision !== this.#revision) {
      this.#ends = [];
      this.#firstKey = lines.firstKey;
      this.#revision = lines.revision;
    }
    for (let key = this.#firstKey + this.#ends.length; key < lines.endKey; key += 1) {
      this.#ends.push(this.count + this.#rowsIn(lines.at(key)));
    }
  }

  /** @param {string} line */
  #rowsIn(line) {
    if (line.length * 2 <= this.#columns) return 1;
    const { end } = shownPart(line);
    const shown = line.slice(0, end);
    if (cellsOf(shown) <= this.#columns) return 1;
    return breaksOf(shown, this.#columns).length + 1;
  }

  /** @param {number} line counted from the first */
  #startOf(line) {
    return line === 0 ? 0 : this.#ends[line - 1];
  }

  /** @param {number} row @returns {number} the line it belongs to, counted from the first. */
  #lineAt(row) {
    let low = 0;
    let high = this.#ends.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ends[middle] > row) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
