// @ts-check
/** Values of settings as people enter and read them: times in minutes, nothing for the default. Pure. */

/** @import { SettingJson } from "./types.js" */

const SECONDS_IN_MINUTE = 60;

/**
 * What is sent for what was entered: an empty field is the default. The server judges it.
 * @param {Pick<SettingJson, "kind">} setting
 * @param {string} entered
 * @returns {string | number | null}
 */
export function meant({ kind }, entered) {
  const text = entered.trim();
  if (text === "") return null;
  if (kind === "integer") return Number(text);
  if (kind === "seconds") return Math.round(Number(text) * SECONDS_IN_MINUTE);
  return text;
}

/** @param {Pick<SettingJson, "kind" | "value">} setting */
export function shownValue(setting) {
  return String(shownNumber(setting, setting.value) ?? "");
}

/**
 * @template Value
 * @param {Pick<SettingJson, "kind">} setting
 * @param {Value} value
 */
export function shownNumber({ kind }, value) {
  if (kind !== "seconds" || typeof value !== "number") return value;
  return Math.round((value / SECONDS_IN_MINUTE) * 100) / 100;
}
