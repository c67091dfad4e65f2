// @ts-check
/** What went wrong, in words. */

import { ServerError } from "./server.js";

/** @import { Translate } from "./strings.js" */

/**
 * The server's own words; ours where it said none.
 * @param {unknown} error
 * @param {Translate} t
 * @returns {{ message: string, remedy: string }}
 */
export function wordsOf(error, t) {
  if (!(error instanceof ServerError)) return { message: t("frame.own_mistake", { error: String(error) }), remedy: "" };
  if (error.code === "unreachable") return { message: t("frame.unreachable"), remedy: t("frame.unreachable_remedy") };
  return error;
}
