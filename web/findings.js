// @ts-check
/** What was found on this computer, for a message to somebody who helps. Pure. */

/** @import { Finding } from "./types.js" */

/** @param {Finding[]} findings */
export function asText(findings) {
  return findings.map(({ level, subject, text, remedy }) => [`[${level}] ${subject}: ${text}`, remedy].filter(Boolean).join("\n    ")).join("\n");
}
