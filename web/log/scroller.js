// @ts-check
/**
 * The scrolled part of a log view: draws what is in sight, at most once a frame, and keeps in place what the user looks at
 * while lines come and go at both ends.
 */

import { LogPainter } from "./painter.js";
import { StraightRows, WrappedRows } from "./rows.js";
import { LogSelection } from "./selection.js";
import { cellsOf } from "./text.js";
import { Viewport } from "./viewport.js";

/** @import { LogLines } from "./lines.js" */
/** @import { Rows } from "./rows.js" */
/** @import { LogSearch, Match } from "./search.js" */

/**
 * - `onScroll`: after every scrolling, also when it was not the user's, and when the view has another size.
 * - `onTop`: the first lines are near; older ones are wanted.
 * @typedef {{ onScroll: () => void, onTop: () => void }} Listeners
 */

const TAG = "comfy-env-log-lines";
const ROW_HEIGHT = 18;
/** Older lines are fetched before the user comes to the first one. */
const NEAR_TOP_VIEWS = 3;
const AT_END_PX = 2;
/** Beside the letters of a row, see log.css. */
const PADDING_CELLS = 3;
/** In a view this narrow lines are wrapped unless the user wants them straight. */
const NARROW_COLUMNS = 60;

/** Whoever moves an element in the document takes its scroll position from it. Tells, so that it is given back. */
class ScrollElement extends HTMLElement {
  onConnected = () => {};

  connectedCallback() {
    this.onConnected();
  }
}

/** Whichever copy of this module came first has named the element; a second one, from another address, uses it. */
function newElement() {
  if (!customElements.get(TAG)) customElements.define(TAG, ScrollElement);
  return /** @type {ScrollElement} */ (document.createElement(TAG));
}

export class LogScroller {
  element = newElement();
  /** Whether the newest line is kept in sight. */
  sticks = true;
  /** @type {LogSearch | null} what is marked */
  search = null;
  /** @type {Match | null} the one that the user went to */
  match = null;
  selection;
  #content = document.createElement("div");
  #probe = document.createElement("span");
  #painter = new LogPainter(this.#content);
  #lines;
  #listeners;
  /** @type {Rows} */
  #rows;
  #isWrapped = false;
  /** Whether the user has said if lines are wrapped. */
  #isWrappingChosen = false;
  #viewport = new Viewport({ rowHeight: ROW_HEIGHT, rowCount: 0, viewHeight: 0 });
  /** The line at the upper edge, and how far it is out of sight, in pixels. */
  #anchor = { key: 0, from: 0, hidden_px: 0 };
  #revision = 0;
  #frame = 0;
  #resized = new ResizeObserver(() => this.#resize());
  #onSelectionChange = () => void (this.selection.changed() && this.draw());

  /** @param {LogLines} lines @param {Listeners} listeners */
  constructor(lines, listeners) {
    this.#lines = lines;
    this.#listeners = listeners;
    this.#rows = new StraightRows(lines);
    const root = () => /** @type {Document | ShadowRoot} */ (this.element.getRootNode());
    this.selection = new LogSelection(this.#content, lines, root);
    this.element.onConnected = () => this.draw();
    this.element.className = "log-scroll";
    this.element.tabIndex = 0;
    this.element.setAttribute("role", "log");
    // A log can be faster than any voice. What happens is said in a few words elsewhere.
    this.element.setAttribute("aria-live", "off");
    this.element.style.setProperty("--log-row", `${ROW_HEIGHT}px`);
    this.#content.className = "log-content";
    this.#probe.className = "log-probe";
    this.#probe.setAttribute("aria-hidden", "true");
    this.#probe.textContent = "0".repeat(100);
    this.element.append(this.#content, this.#probe);
    this.element.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.element.addEventListener("wheel", ({ deltaY }) => deltaY < 0 && this.#leaveEnd(), { passive: true });
    this.#resized.observe(this.element);
    document.addEventListener("selectionchange", this.#onSelectionChange);
  }

  dispose() {
    cancelAnimationFrame(this.#frame);
    this.#resized.disconnect();
    document.removeEventListener("selectionchange", this.#onSelectionChange);
  }

  get isWrapped() {
    return this.#isWrapped;
  }

  set isWrapped(isWrapped) {
    this.#isWrappingChosen = true;
    this.#layOut(isWrapped);
  }

  /** The key of the first line in sight. */
  get firstKeyInSight() {
    return this.#anchor.key;
  }

  /** Draws in the next frame. */
  draw() {
    this.#frame ||= requestAnimationFrame(() => this.#drawNow());
  }

  toEnd() {
    this.sticks = true;
    this.draw();
  }

  toBeginning() {
    this.sticks = false;
    this.#anchor = { key: this.#lines.firstKey, from: 0, hidden_px: 0 };
    this.draw();
  }

  /** Brings a match into sight. @param {Match} match */
  reveal(match) {
    this.match = match;
    this.sticks = false;
    this.#update();
    const row = this.#rows.rowOf(match.key, match.from);
    this.#anchorAt(this.#viewport.revealing(row, this.element.scrollTop));
    if (!this.#isWrapped) this.#revealSideways(match, row);
    this.draw();
  }

  /** @param {Match} match @param {number} row */
  #revealSideways(match, row) {
    const { from } = this.#rows.at(row, match.from);
    const left = cellsOf(this.#lines.at(match.key).slice(from, match.from)) * this.#cellWidth;
    const { scrollLeft, clientWidth } = this.element;
    if (left < scrollLeft || left > scrollLeft + clientWidth * 0.8) this.element.scrollLeft = left - clientWidth / 3;
  }

  #drawNow() {
    this.#frame = 0;
    this.#update();
    const scrollTop = this.sticks ? this.#viewport.bottom : this.#anchored();
    if (Math.abs(this.element.scrollTop - scrollTop) >= 1) this.element.scrollTop = scrollTop;
    this.#painter.paint({
      lines: this.#lines,
      rows: this.#rows,
      viewport: this.#viewport,
      scrollTop: this.element.scrollTop,
      search: this.search,
      match: this.match,
      pinned: this.selection.pinned,
    });
    if (this.sticks) this.#anchorAt(this.element.scrollTop);
    if (this.#viewport.offsetAt(this.element.scrollTop) < NEAR_TOP_VIEWS * this.#viewport.viewHeight) this.#listeners.onTop();
  }

  /** Takes up the lines that came and went. */
  #update() {
    if (this.#lines.revision !== this.#revision) {
      this.#revision = this.#lines.revision;
      this.#painter.clear();
    }
    this.#rows.update();
    this.#viewport = new Viewport({
      rowHeight: ROW_HEIGHT,
      rowCount: this.#rows.count,
      viewHeight: this.element.clientHeight,
    });
    this.#content.style.height = `${this.#viewport.contentHeight}px`;
    this.#content.style.width = this.#isWrapped ? "" : `${this.#lines.widest + 2}ch`;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.element;
    this.sticks = scrollTop >= scrollHeight - clientHeight - AT_END_PX;
    this.#anchorAt(scrollTop);
    this.#listeners.onScroll();
    this.draw();
  }

  #leaveEnd() {
    if (this.#viewport.bottom > 0) this.sticks = false;
  }

  /** Remembers what is at the upper edge. @param {number} scrollTop */
  #anchorAt(scrollTop) {
    if (this.#rows.count === 0) return;
    const offset = this.#viewport.offsetAt(scrollTop);
    const index = Math.min(this.#rows.count - 1, Math.floor(offset / ROW_HEIGHT));
    const { key, from } = this.#rows.at(index);
    this.#anchor = { key, from, hidden_px: offset - index * ROW_HEIGHT };
  }

  /** @returns {number} the scroll position at which what was at the upper edge is there again. */
  #anchored() {
    const { key, from, hidden_px } = this.#anchor;
    if (key < this.#lines.firstKey || key >= this.#lines.endKey) return 0;
    return this.#viewport.scrollTopAt(this.#rows.rowOf(key, from) * ROW_HEIGHT + hidden_px);
  }

  get #cellWidth() {
    return this.#probe.getBoundingClientRect().width / 100;
  }

  /** How many letters fit into a row. */
  get #columns() {
    return Math.floor(this.element.clientWidth / this.#cellWidth) - PADDING_CELLS;
  }

  #resize() {
    const isWrapped = this.#isWrappingChosen ? this.#isWrapped : this.#columns < NARROW_COLUMNS;
    if (isWrapped || this.#isWrapped) this.#layOut(isWrapped);
    else this.draw();
    this.#listeners.onScroll();
  }

  /** @param {boolean} isWrapped */
  #layOut(isWrapped) {
    this.#isWrapped = isWrapped;
    this.element.classList.toggle("is-wrapped", isWrapped);
    this.#rows = isWrapped ? new WrappedRows(this.#lines, this.#columns) : new StraightRows(this.#lines);
    this.#painter.clear();
    this.draw();
  }
}
