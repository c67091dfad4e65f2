// @ts-check
/** The paths of a sparkline. Pure. */

/** Units of the drawing, which is stretched to whatever room it gets. */
export const WIDTH = 120;
export const HEIGHT = 28;
/** Kept free above and below, for the line's own thickness. */
const EDGE = 1.5;

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
