// @ts-check
/** A line as small as a word: how something went lately. The newest value is at the right edge from the first one on. */

import { html, svg } from "../html.js";
import { HEIGHT, sparkPaths, WIDTH } from "../spark_paths.js";

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
