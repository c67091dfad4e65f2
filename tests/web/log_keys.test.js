import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { commandOf } from "../../web/log/keys.js";

/** "Control+Shift+F" as an event. */
function pressed(combination) {
  const parts = combination.split("+");
  const has = (name) => parts.includes(name);
  const key = parts.at(-1) === "" ? "+" : parts.at(-1);
  return { key, ctrlKey: has("Control"), metaKey: has("Meta"), altKey: has("Alt"), shiftKey: has("Shift") };
}

suite("keys in a log", () => {
  for (const [combination, place, command] of [
    ["/", "lines", "search"],
    ["/", "elsewhere", "search"],
    ["/", "search", null],
    ["Control+f", "lines", "search"],
    ["Meta+f", "search", "search"],
    ["Control+Shift+f", "lines", null],
    ["Enter", "search", "next"],
    ["Shift+Enter", "search", "previous"],
    ["Enter", "lines", null],
    ["F3", "lines", "next"],
    ["Shift+F3", "search", "previous"],
    ["Escape", "search", "leaveSearch"],
    ["Escape", "elsewhere", null],
    ["Home", "lines", "toBeginning"],
    ["Home", "search", null],
    ["Control+Home", "lines", null],
    ["End", "lines", "toEnd"],
    ["Shift+End", "lines", null],
    ["Control+a", "lines", "selectAll"],
    ["Control+a", "search", null],
    ["Control+c", "lines", null],
    ["PageDown", "lines", null],
    ["Alt+/", "lines", null],
  ]) {
    test(`${combination} in ${place}: ${command ?? "left to the browser"}`, () => {
      assert.equal(commandOf(pressed(combination), place), command);
    });
  }
});
