// @ts-check
/** What the keys do in a log. */

/** @typedef {"search" | "next" | "previous" | "leaveSearch" | "toBeginning" | "toEnd" | "selectAll"} Command */
/** @typedef {"search" | "lines" | "elsewhere"} Place where the focus is */

/**
 * @param {Pick<KeyboardEvent, "key" | "shiftKey" | "ctrlKey" | "metaKey" | "altKey">} event
 * @param {Place} place
 * @returns {Command | null} null: the key is left to the browser
 */
export function commandOf(event, place) {
  const { key, shiftKey } = event;
  const isCommand = (event.ctrlKey || event.metaKey) && !event.altKey && !shiftKey;
  const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey;
  if (isCommand && key === "f") return "search";
  if (key === "F3") return shiftKey ? "previous" : "next";
  if (place === "search") return isPlain ? commandInSearch(key, shiftKey) : null;
  if (isPlain && key === "/") return "search";
  if (place !== "lines") return null;
  if (isCommand && key === "a") return "selectAll";
  return isPlain && !shiftKey ? commandInLines(key) : null;
}

/** @param {string} key @param {boolean} shiftKey @returns {Command | null} */
function commandInSearch(key, shiftKey) {
  if (key === "Enter") return shiftKey ? "previous" : "next";
  return key === "Escape" ? "leaveSearch" : null;
}

/** @param {string} key @returns {Command | null} */
function commandInLines(key) {
  if (key === "Home") return "toBeginning";
  if (key === "End") return "toEnd";
  return key === "Escape" ? "leaveSearch" : null;
}
