// @ts-check
/**
 * The browser's own selection over rows most of which are not in the document. The rows in which it begins and ends are
 * kept there; what lies between is read from the lines, so that a copy has all of it: rows out of sight, and what is cut
 * off of very long lines.
 */

/** @import { LogLines } from "./lines.js" */
/** @typedef {{ key: number, letter: number }} Place in a line */

/**
 * What a row's element stands for. `isLast`: whether no other row shows more of the line.
 * @typedef {{ id: string, key: number, from: number, end: number, isLast: boolean }} ShownRow
 */

/** @type {WeakMap<Node, ShownRow>} */
export const shownRows = new WeakMap();

export class LogSelection {
  #root;
  #content;
  #lines;
  /** Ids of the rows that must stay in the document. @type {Set<string>} */
  pinned = new Set();
  /** Whether everything was selected, also what is not in the document or not loaded. */
  isAll = false;

  /**
   * @param {HTMLElement} content the parent of the rows
   * @param {LogLines} lines
   * @param {() => Document | ShadowRoot} root in which the content is
   */
  constructor(content, lines, root) {
    this.#content = content;
    this.#lines = lines;
    this.#root = root;
  }

  /** To be called whenever the document's selection changed. @returns {boolean} whether that means anything here */
  changed() {
    const before = this.pinned.size > 0 || this.isAll;
    const range = this.#range();
    this.pinned = new Set();
    for (const node of range ? [range.startContainer, range.endContainer] : []) {
      const row = this.#rowAt(node);
      if (row) this.pinned.add(row.id);
    }
    if (this.isAll && !this.#coversAll(range)) this.isAll = false;
    return before || this.pinned.size > 0;
  }

  /** Selects the whole log. */
  selectAll() {
    this.isAll = true;
    document.getSelection()?.selectAllChildren(this.#content);
  }

  /** @returns {string} the selected text; "" if nothing is selected here. */
  text() {
    const lines = this.#lines;
    if (this.isAll) return lines.slice().join("\n");
    const range = this.#range();
    const begin = range && this.#place(range.startContainer, range.startOffset);
    const end = range && this.#place(range.endContainer, range.endOffset);
    if (!begin || !end) return "";
    const selected = lines.slice(begin.key, end.key + 1);
    if (!selected.length) return "";
    selected[selected.length - 1] = selected[selected.length - 1].slice(0, end.letter);
    selected[0] = selected[0].slice(begin.letter);
    return selected.join("\n");
  }

  /** @param {Range | StaticRange | null} range */
  #coversAll(range) {
    return range?.startContainer === this.#content && range.endContainer === this.#content;
  }

  /** Inside a shadow tree each browser has its own way to say what is selected. */
  #range() {
    const root = this.#root();
    const selection = /** @type {any} */ (root).getSelection?.() ?? document.getSelection();
    if (!selection || selection.isCollapsed) return null;
    const [composed] = root instanceof ShadowRoot ? (selection.getComposedRanges?.({ shadowRoots: [root] }) ?? []) : [];
    const range = composed ?? selection.getRangeAt(0);
    return this.#content.contains(range.startContainer) || this.#content.contains(range.endContainer) ? range : null;
  }

  /** @param {Node} node */
  #rowAt(node) {
    for (let at = /** @type {Node | null} */ (node); at && at !== this.#content; at = at.parentNode) {
      const row = shownRows.get(at);
      if (row) return { ...row, element: at };
    }
    return null;
  }

  /** @param {Node} node @param {number} offset @returns {Place | null} null outside the rows */
  #place(node, offset) {
    const row = this.#rowAt(node);
    if (!row) return this.#placeBetweenRows(node, offset);
    const before = document.createRange();
    before.setStart(row.element, 0);
    before.setEnd(node, offset);
    const letter = row.from + before.toString().length;
    // A selection that reaches the end of what is shown of a line has the rest of it.
    return { key: row.key, letter: row.isLast && letter >= row.end ? Infinity : letter };
  }

  /** A selection that was drawn over the edge begins or ends beside the rows. @param {Node} node @param {number} offset */
  #placeBetweenRows(node, offset) {
    const { firstKey, endKey } = this.#lines;
    if (node !== this.#content) {
      const isBefore = node.compareDocumentPosition(this.#content) & Node.DOCUMENT_POSITION_FOLLOWING;
      return isBefore ? { key: firstKey, letter: 0 } : { key: endKey - 1, letter: Infinity };
    }
    const next = shownRows.get(this.#content.childNodes[offset]);
    return next ? { key: next.key, letter: next.from } : { key: endKey - 1, letter: Infinity };
  }
}
