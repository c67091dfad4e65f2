// @ts-check
/** Work that outlasts its request, as the panel looks at it. Pure. */

/** @import { JobJson } from "./types.js" */

/**
 * @param {Map<string, JobJson>} jobs
 * @param {string} kind
 * @returns {JobJson | null} the one that was begun last
 */
export function latestJob(jobs, kind) {
  const known = [...jobs.values()].filter((job) => job.kind === kind);
  return known.reduce((/** @type {JobJson | null} */ last, job) => (last && last.started_at > job.started_at ? last : job), null);
}
