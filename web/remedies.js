// @ts-check
/** Which buttons help against which cause: of a failed build, or of nodes that could not be loaded. Pure. */

/**
 * What a button does.
 * - "build": build and load again what is not ready. "rebuild": fill the environment from nothing.
 * - "log": of the build. "worker_log": of the process that was to load the nodes.
 * - "file": the pack's file, at the line of the mistake.
 * - "mirrors", "place": settings of where packages come from, and of where environments live.
 * - "space": what fills the disk. "memory": which processes hold memory.
 * - "check": look at this computer. "report": what to send to somebody who can help.
 * @typedef {"build" | "rebuild" | "log" | "worker_log" | "file" | "mirrors" | "place" | "space" | "memory" | "check" |
 *   "report"} Action
 */

/** @type {Readonly<Record<string, readonly Action[]>>} by the cause in the server's errors; the most helpful first */
export const REMEDIES = {
  // Of builds
  config: ["file", "build"],
  no_such_package: ["file", "build", "log"],
  no_matching_wheel: ["file", "build", "log"],
  conflict: ["file", "log", "build"],
  no_compiler: ["build", "log", "check"],
  source_build: ["log", "build", "file"],
  network: ["build", "mirrors", "check"],
  proxy: ["check", "build"],
  certificate: ["check", "build"],
  credentials: ["mirrors", "check", "build"],
  checksum: ["mirrors", "build"],
  disk_full: ["space", "place", "build"],
  permission: ["place", "build"],
  no_python: ["file", "build"],
  no_channel: ["build", "mirrors", "check"],
  out_of_memory: ["memory", "build"],
  killed: ["build", "memory", "log"],
  cancelled: ["build"],
  import_failed: ["log", "rebuild", "file"],
  damaged_files: ["rebuild", "log"],
  timed_out: ["log", "build"],
  other_tool: ["log", "build"],
  internal: ["build", "report", "log"],
  // Of loading the nodes
  worker_start: ["worker_log", "build", "rebuild"],
  worker_crashed: ["worker_log", "build", "memory"],
  node_import: ["worker_log", "build", "file"],
};

/** @type {readonly Action[]} against a cause that a newer server may know */
const AGAINST_ANY = ["build", "log", "report"];

/**
 * @param {string} cause
 * @returns {readonly Action[]}
 */
export function remediesFor(cause) {
  return REMEDIES[cause] ?? AGAINST_ANY;
}
