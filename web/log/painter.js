// @ts-check
/** Puts the rows that are in sight into the document, in their order, and takes the others out. */

import { shownRows } from "./selection.js";
import { levelOf, timeLengthOf } from "./text.js";

/** @import { LogLines } from "./lines.js" */
/** @import { Row, Rows } from "./rows.js" */
/** @import { LogSearch, Match } from "./search.js" */
/** @import { Viewport } from "./viewport.js" */

/**
 * What is to be seen. `match`: the one that the user went to. `pinned`: ids of rows that stay though out of sight.
 * @typedef {{
 *   lines: LogLines, rows: Rows, viewport: Viewport, scrollTop: number, search: LogSearch | null, match: Match | null,
 *   pinned: Set<string>,
 * }} Scene
 */

/** Rows above and below those in sight: scrolling shows them before the page can draw others. */
const MARGIN_ROWS = 24;

export class LogPainter {
  #content;
  /** @type {Map<string, { element: HTMLElement, look: string }>} by the row's id */
  #painted = new Map();

  /** @param {HTMLElement} content the parent of the rows, which nobody else puts anything into */
  constructor(content) {
    this.#content = content;
  }

  /** Takes all rows out: other lines have their keys now. */
  clear() {
    this.#painted.clear();
    this.#content.replaceChildren();
  }

  /** @param {Scene} scene */
  paint(scene) {
    const { viewport, scrollTop } = scene;
    const wanted = new Map();
    for (const index of this.#rowsToPaint(scene)) {
      const row = scene.rows.at(index, matchIn(scene, index));
      wanted.set(`${row.key}:${row.from}`, { row, index });
    }
    for (const [id, { element }] of this.#painted) {
      if (wanted.has(id)) continue;
      this.#painted.delete(id);
      element.remove();
    }
    let next = this.#content.firstElementChild;
    for (const [id, { row, index }] of wanted) {
      const element = this.#elementOf(id, row, scene);
      if (element === next) next = next.nextElementSibling;
      else this.#content.insertBefore(element, next);
      element.style.transform = `translateY(${viewport.topOf(index, scrollTop)}px)`;
    }
  }

  /** Indexes in their order. @param {Scene} scene */
  #rowsToPaint({ lines, rows, viewport, scrollTop, pinned }) {
    const { first, end } = viewport.rowsAt(scrollTop, MARGIN_ROWS);
    const indexes = new Set();
    for (let index = first; index < end; index += 1) indexes.add(index);
    for (const id of pinned) {
      const [key, from] = id.split(":").map(Number);
      if (key >= lines.firstKey && key < lines.endKey) indexes.add(rows.rowOf(key, from));
    }
    return pinned.size ? [...indexes].sort((one, other) => one - other) : indexes;
  }

  /** @param {string} id @param {Row} row @param {Scene} scene */
  #elementOf(id, row, { lines, search, match }) {
    const line = lines.at(row.key);
    const marks = search ? search.inLine(row.key).filter((one) => one.from < row.end && one.end > row.from) : [];
    const look = `${line.length} ${row.end} ${marks.map((one) => `${one.from}-${one.end}${isSame(one, match) ? "!" : ""}`)}`;
    const painted = this.#painted.get(id);
    if (painted?.look === look) return painted.element;
    const element = painted?.element ?? rowElement(line);
    fill(element, line, row, marks, match);
    shownRows.set(element, { id, ...row, isLast: row.end + row.hidden === line.length });
    this.#painted.set(id, { element, look });
    return element;
  }
}

/** A letter that must be shown of the line in this row. @param {Scene} scene @param {number} index */
function matchIn({ match, rows }, index) {
  return match && rows.at(index).key === match.key ? match.from : undefined;
}

/** @param {string} line */
function rowElement(line) {
  const element = document.createElement("div");
  const level = levelOf(line);
  element.className = level ? `log-row is-${level}` : "log-row";
  return element;
}

/**
 * Text nodes in elements, whatever the log says.
 * @param {HTMLElement} element @param {string} line @param {Row} row @param {Match[]} marks @param {Match | null} match
 */
function fill(element, line, row, marks, match) {
  const timeEnd = Math.min(timeLengthOf(line), row.end);
  const cuts = new Set([row.from, row.end, ...(timeEnd > row.from ? [timeEnd] : [])]);
  for (const mark of marks) cuts.add(Math.max(mark.from, row.from)).add(Math.min(mark.end, row.end));
  const places = [...cuts].sort((one, other) => one - other);
  const parts = places.slice(0, -1).map((from, index) => {
    const text = line.slice(from, places[index + 1]);
    const mark = marks.find((one) => one.from <= from && from < one.end);
    if (mark) return textElement("mark", isSame(mark, match) ? "log-match is-current" : "log-match", text);
    return from < timeEnd ? textElement("span", "log-time", text) : document.createTextNode(text);
  });
  element.replaceChildren(...parts);
  // Drawn by the style sheet: it is no part of the log, and of no selection.
  if (row.hidden) element.dataset.hidden = `+${row.hidden}`;
}

/** @param {string} name @param {string} className @param {string} text */
function textElement(name, className, text) {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}

/** @param {Match} one @param {Match | null} other */
function isSame(one, other) {
  return other !== null && one.key === other.key && one.from === other.from;
}
