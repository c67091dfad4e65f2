// @ts-check
/** What a line of a log says beside its letters: its time, how serious it is, how wide it is, what of it is shown. */

/** @typedef {"error" | "warning" | "note" | ""} Level "note": a line of ours about the build, not of a tool's output. */

/** Shown of one line; a copy has all of it. Some tools print a whole array or a command of 100 kB in one. */
export const SHOWN_CHARACTERS = 2000;
/** Shown before a match that lies beyond that. */
const BEFORE_A_MATCH = 200;
/** `tab-size` in log.css. */
const TAB_CELLS = 4;

/** Line ends and tabs are no reason to clean. */
const UNCLEAN = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/;
/** ECMA-48: control sequences ("\x1b[1;31m"), strings (titles, hyperlinks), and two-letter escapes. */
const ESCAPES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])/g;
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

const TIME = /^(?:\[?\d{2}:\d{2}:\d{2}(?:[.,]\d+)?\]?|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)(?= )/;
const ERROR = new RegExp(
  [
    /\b(?:ERROR|FATAL|CRITICAL|FAILED)\b/, // levels of logging, and the last line of a build
    /\b(?:error|fatal)(?: [a-z]+)?(?:\[\w+\])?:/, // compilers, git, uv, rustc
    /^\S* ?Traceback \(most recent call last\)/,
    /^(?:\S+ )?(?:\w+\.)*[A-Z]\w*(?:Error|Exception)(?::|$)/, // the last line of a traceback, after a time or alone
    /^\S* ?\s*[×✗✘] /, // pixi and uv
  ].map((part) => part.source).join("|"),
);
const WARNING = /\b(?:WARN|WARNING)\b|\bwarning(?:\[\w+\])?:|\b[A-Z]\w*Warning:|^\S* ?\s*⚠/;
const NARROW = /^[\x20-\x7e]*$/;
/** Letters that take two cells: East Asian wide and full-width. Pictographs are two units of UTF-16 as well as two cells. */
const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/;

/**
 * The lines of a text as a terminal would leave them: without colours and other escapes, and of a line that was
 * overwritten (progress bars) its last state.
 * @param {string} text
 */
export function linesOf(text) {
  const lines = text.split("\n");
  if (lines[lines.length - 1] === "") lines.pop();
  return UNCLEAN.test(text) ? lines.map(cleaned) : lines;
}

/** @param {string} line */
function cleaned(line) {
  const ended = line.endsWith("\r") ? line.slice(0, -1) : line;
  return ended.slice(ended.lastIndexOf("\r") + 1).replace(ESCAPES, "").replace(CONTROLS, "");
}

/** @param {string} line @returns {Level} */
export function levelOf(line) {
  const beginning = line.slice(0, SHOWN_CHARACTERS);
  if (ERROR.test(beginning)) return "error";
  if (WARNING.test(beginning)) return "warning";
  return beginning.startsWith("# ") ? "note" : "";
}

/** @param {string} line @returns {number} of letters of the time of day it begins with. */
export function timeLengthOf(line) {
  return TIME.exec(line)?.[0].length ?? 0;
}

/** @param {string} text @returns {number} of the cells of a fixed-width font, rather too many than too few. */
export function cellsOf(text) {
  if (NARROW.test(text)) return text.length;
  let cells = 0;
  for (let index = 0; index < text.length; index += 1) cells += cellsOfUnit(text, index);
  return cells;
}

/** @param {string} text @param {number} index */
function cellsOfUnit(text, index) {
  const unit = text.charCodeAt(index);
  if (unit < 0x7f) return unit === 9 ? TAB_CELLS : 1;
  return WIDE.test(text[index]) ? 2 : 1;
}

/**
 * Where a text is broken to fit into so many cells: the beginning of every row but the first. After a space if there is one in
 * the second half of the row, which may then hang over the edge.
 * @param {string} text @param {number} columns at least 2 @returns {number[]}
 */
export function breaksOf(text, columns) {
  const breaks = [];
  const isNarrow = NARROW.test(text);
  for (let from = 0; ; ) {
    const fit = isNarrow ? from + columns : fittingEnd(text, from, columns);
    if (fit >= text.length) return breaks;
    const space = text.lastIndexOf(" ", fit);
    from = space > from + columns / 2 ? space + 1 : fit;
    if (from === text.length) return breaks;
    breaks.push(from);
  }
}

/** @param {string} text @param {number} from @param {number} columns @returns {number} the end of what fits, at least a letter. */
function fittingEnd(text, from, columns) {
  let cells = 0;
  for (let index = from; index < text.length; ) {
    const units = isPair(text, index) ? 2 : 1;
    cells += units === 2 ? 2 : cellsOfUnit(text, index);
    if (cells > columns && index > from) return index;
    index += units;
  }
  return text.length;
}

/**
 * The part of a line that is shown. `match`: where the letter is that must be in it.
 * @param {string} line @param {number} [match]
 * @returns {{from: number, end: number}}
 */
export function shownPart(line, match = 0) {
  let from = match < SHOWN_CHARACTERS - BEFORE_A_MATCH ? 0 : match - BEFORE_A_MATCH;
  if (from > 0 && isPair(line, from - 1)) from -= 1;
  let end = Math.min(line.length, from + SHOWN_CHARACTERS);
  if (end < line.length && isPair(line, end - 1)) end -= 1;
  return { from, end };
}

/** Whether the letter at `index` is two units of UTF-16, which must not be parted. @param {string} text @param {number} index */
function isPair(text, index) {
  const unit = text.charCodeAt(index);
  return unit >= 0xd800 && unit <= 0xdbff && index + 1 < text.length;
}
