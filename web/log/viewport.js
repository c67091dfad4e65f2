// @ts-check
/**
 * Which rows of a long list of equal rows are in sight, and where they are drawn.
 *
 * Browsers lay out no element higher than some 17 to 33 million pixels (Firefox: 17,895,697; Chromium: 33,554,428). A
 * longer list gets an element of `mostHeight` and scrolls faster than the pointer: from end to end all the same.
 */

export const MOST_HEIGHT = 8_000_000;

export class Viewport {
  /** @param {{ rowHeight: number, rowCount: number, viewHeight: number, mostHeight?: number }} sizes in pixels */
  constructor({ rowHeight, rowCount, viewHeight, mostHeight = MOST_HEIGHT }) {
    this.rowHeight = rowHeight;
    this.rowCount = rowCount;
    this.viewHeight = viewHeight;
    this.fullHeight = rowCount * rowHeight;
    /** Of the element that is scrolled. */
    this.contentHeight = Math.min(this.fullHeight, mostHeight);
    const scrolled = this.contentHeight - viewHeight;
    /** Pixels of the list for one of the scroll bar. */
    this.scale = scrolled > 0 && this.contentHeight < this.fullHeight ? (this.fullHeight - viewHeight) / scrolled : 1;
  }

  /** The scroll position that shows the last row at the bottom. */
  get bottom() {
    return Math.max(0, this.contentHeight - this.viewHeight);
  }

  /** @param {number} scrollTop @returns {number} where in the whole list the view begins, in pixels. */
  offsetAt(scrollTop) {
    return clamp(scrollTop, 0, this.bottom) * this.scale;
  }

  /** @param {number} offset in the whole list, in pixels @returns {number} the scroll position that begins there. */
  scrollTopAt(offset) {
    return clamp(offset / this.scale, 0, this.bottom);
  }

  /**
   * The rows in sight and `margin` more on each side: from `first` to below `end`.
   * @param {number} scrollTop @param {number} [margin]
   */
  rowsAt(scrollTop, margin = 0) {
    const offset = this.offsetAt(scrollTop);
    const first = Math.floor(offset / this.rowHeight) - margin;
    const end = Math.ceil((offset + this.viewHeight) / this.rowHeight) + margin;
    return { first: clamp(first, 0, this.rowCount), end: clamp(end, 0, this.rowCount) };
  }

  /** @param {number} row @param {number} scrollTop @returns {number} where the row is drawn in the scrolled element. */
  topOf(row, scrollTop) {
    const shown = clamp(scrollTop, 0, this.bottom);
    return row * this.rowHeight - shown * this.scale + shown;
  }

  /**
   * The scroll position nearest to this one at which the row is wholly in sight; in the middle if it is far away.
   * @param {number} row @param {number} scrollTop
   */
  revealing(row, scrollTop) {
    const offset = this.offsetAt(scrollTop);
    const top = row * this.rowHeight;
    if (top >= offset && top + this.rowHeight <= offset + this.viewHeight) return scrollTop;
    return this.scrollTopAt(top - (this.viewHeight - this.rowHeight) / 2);
  }
}

/** @param {number} value @param {number} least @param {number} most */
function clamp(value, least, most) {
  return Math.max(least, Math.min(most, value));
}
