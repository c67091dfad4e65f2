// @ts-check
/** A line as small as a word: how something went lately. The newest value is at the right edge from the first one on. */

import { html, svg } from "../html.js";

/** Units of the drawing, which is stretched to whatever room it gets. */
const WIDTH = 120;
const HEIGHT = 28;
/** Kept free above and below, for the line's own thickness. */
const EDGE = 1.5;

/**
 * @param {{ values: (number | null)[], slots: number, most: number, label: string, kind: string }} drawing `slots`: for so many
 *   values there is room; `most`: at the upper edge; null: not known at that time; `label`: all of it in words
 */
export function sparkline({ values, slots, most, label, kind }) {
  const { line, area } = sparkPaths(values, slots, most);
  return html`<svg
    class="spark is-${kind}"
    viewBox="0 0 ${WIDTH} ${HEIGHT}"
    preserveAspectRatio="none"
    role="img"
    aria-label=${label}
  >
    ${svg`<path class="spark-area" d=${area}></path><path class="spark-line" d=${line}></path>`}
  </svg>`;
}

/**
 * @param {(number | null)[]} values oldest first @param {number} slots @param {number} most
 * @returns {{ line: string, area: string }} path data; "" without two values beside each other
 */
export function sparkPaths(values, slots, most) {
  const runs = runsOf(values.slice(-slots), slots, most).filter((run) => run.length > 1);
  const lines = runs.map((run) => `M${run.join("L")}`);
  const areas = runs.map((run, index) => `${lines[index]}V${HEIGHT}H${run[0].split(" ")[0]}Z`);
  return { line: lines.join(""), area: areas.join("") };
}

/**
 * Points that are joined: a value that is not known parts them.
 * @param {(number | null)[]} values @param {number} slots @param {number} most
 */
function runsOf(values, slots, most) {
  /** @type {string[][]} */
  const runs = [[]];
  const step = WIDTH / Math.max(1, slots - 1);
  values.forEach((value, index) => {
    if (value === null) return void runs.push([]);
    const x = WIDTH - (values.length - 1 - index) * step;
    const y = HEIGHT - EDGE - (Math.min(value, most) / most) * (HEIGHT - 2 * EDGE);
    runs[runs.length - 1].push(`${rounded(x)} ${rounded(y)}`);
  });
  return runs;
}

/** @param {number} value */
function rounded(value) {
  return Math.round(value * 10) / 10;
}
