// @ts-check
/** Texts in the user's language. All of them stand in strings/; nobody else writes words that a user reads. */

import en from "./strings/en.js";
import zh from "./strings/zh.js";

/** @typedef {keyof typeof en} Key */
/** @typedef {string | { one?: string, other: string }} Text with {names} in it; two forms where it counts `count` */
/** @typedef {(key: Key, values?: Record<string, string | number>) => string} Translate */

/** @type {Record<string, Record<Key, Text>>} by the first part of a language's tag */
export const LANGUAGES = { en, zh };

const PLACE = /\{(\w+)\}/g;

/**
 * @param {string} language a tag as in `navigator.language`; English for languages that there are no texts in
 * @returns {Translate}
 */
export function translator(language) {
  const code = known(language);
  const texts = LANGUAGES[code];
  const plural = new Intl.PluralRules(code);
  return (key, values = {}) => {
    const text = texts[key];
    const form = typeof text === "string" ? text : formFor(text, plural, Number(values.count));
    return form.replace(PLACE, (_, name) => String(values[name]));
  };
}

/**
 * @param {string} language
 * @returns {string} the language whose texts are shown for it
 */
export function known(language) {
  const code = language.toLowerCase().split(/[-_]/)[0];
  return code in LANGUAGES ? code : "en";
}

/**
 * @param {{ one?: string, other: string }} text
 * @param {Intl.PluralRules} plural
 * @param {number} count
 */
function formFor(text, plural, count) {
  return plural.select(count) === "one" ? (text.one ?? text.other) : text.other;
}
