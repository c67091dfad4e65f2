// @ts-check
/** How what the panel knows follows from what the server says. Pure: each function gives a new state and changes none. */

/** @import { ChangesEvent, EnvironmentDetail, EnvironmentJson, State, StatusJson, WorkerJson } from "./types.js" */

/** How many samples of a worker are kept: at one in two seconds, two minutes. */
export const SAMPLES_KEPT = 60;

/** @type {StatusJson} */
const NOTHING_YET = {
  run: "",
  sequence: 0,
  version: "",
  python: "",
  comfyui_version: null,
  platform: "",
  engine: { setting: "auto", last_used: null, last_version: null },
  store: { root: "", free_bytes: null, total_bytes: null, problem: null },
  policy: { build_mode: "background", may_change: true, why_not: null },
  sites: [],
  builds: [],
  workers: [],
  jobs: [],
  skipped: [],
  mistakes: [],
  shared_memory: null,
};

/** @returns {State} */
export function emptyState() {
  return {
    phase: "loading",
    error: null,
    status: NOTHING_YET,
    sites: new Map(),
    builds: new Map(),
    workers: new Map(),
    jobs: new Map(),
    environments: new Map(),
    details: new Map(),
    packs: [],
    samples: new Map(),
    disk: null,
    settings: null,
    prerequisites: null,
  };
}

/**
 * Everything that changes by itself, as of now.
 * @param {State} state
 * @param {StatusJson} status
 * @param {number} now_s of this page's clock
 * @returns {State}
 */
export function withStatus(state, status, now_s) {
  const isOtherRun = status.run !== state.status.run;
  return {
    ...state,
    phase: "ready",
    error: null,
    status,
    sites: byKey(status.sites, "id"),
    builds: byKey(received(status.builds, now_s), "id"),
    workers: byKey(status.workers, "site"),
    jobs: byKey(status.jobs, "id"),
    samples: isOtherRun ? new Map() : state.samples,
  };
}

/**
 * What an event of the server makes of the state:
 * - "apply": it is the next one;
 * - "old": its content is known already;
 * - "missed": others came before it and were lost, or the server is another run of itself: fetch everything.
 * @param {State} state
 * @param {{ run: string, sequence: number }} event
 * @returns {"apply" | "old" | "missed"}
 */
export function judge(state, event) {
  if (event.run !== state.status.run) return "missed";
  if (event.sequence <= state.status.sequence) return "old";
  return event.sequence === state.status.sequence + 1 ? "apply" : "missed";
}

/**
 * After any numbered event that changed nothing here.
 * @param {State} state
 * @param {{ sequence: number }} event
 * @returns {State}
 */
export function withSequence(state, { sequence }) {
  return { ...state, status: { ...state.status, sequence } };
}

/**
 * @param {State} state
 * @param {ChangesEvent} event
 * @param {number} now_s of this page's clock
 * @returns {State}
 */
export function withChanges(state, event, now_s) {
  return {
    ...withSequence(state, event),
    sites: merged(state.sites, event.sites, "id"),
    builds: mergedBuilds(state.builds, received(event.builds, now_s)),
    workers: merged(state.workers, event.workers, "site"),
    jobs: merged(state.jobs, event.jobs, "id"),
  };
}

/**
 * What polling the workers said, with one more sample of each that runs.
 * @param {State} state
 * @param {WorkerJson[]} workers
 * @param {number} now_s of this page's clock
 * @returns {State}
 */
export function withWorkers(state, workers, now_s) {
  const samples = new Map();
  for (const { site, cpu_percent, rss_bytes } of workers) {
    const sample = { at: now_s, cpu_percent, rss_bytes };
    samples.set(site, [...(state.samples.get(site) ?? []), sample].slice(-SAMPLES_KEPT));
  }
  return { ...state, workers: byKey(workers, "site"), samples };
}

/**
 * @param {State} state
 * @param {EnvironmentJson[]} environments all there are
 * @returns {State}
 */
export function withEnvironments(state, environments) {
  const known = byKey(environments, "id");
  const details = new Map([...state.details].filter(([id]) => known.has(id)));
  return { ...state, environments: known, details };
}

/**
 * One that was fetched anew; null: it is gone.
 * @param {State} state
 * @param {string} id
 * @param {EnvironmentDetail | null} detail
 * @returns {State}
 */
export function withEnvironment(state, id, detail) {
  const environments = new Map(state.environments);
  const details = new Map(state.details);
  if (detail === null) {
    environments.delete(id);
    details.delete(id);
  } else {
    environments.set(id, detail);
    details.set(id, detail);
  }
  return { ...state, environments, details };
}

/**
 * @template {Record<string, any>} Item
 * @param {Item[]} items
 * @param {string} key
 * @returns {Map<string, Item>}
 */
function byKey(items, key) {
  return new Map(items.map((item) => [item[key], item]));
}

/**
 * @template {Record<string, any>} Item
 * @param {Map<string, Item>} known
 * @param {Item[]} newer
 * @param {string} key
 * @returns {Map<string, Item>} the same map if nothing is newer
 */
function merged(known, newer, key) {
  return newer.length === 0 ? known : new Map([...known, ...byKey(newer, key)]);
}

/**
 * Only the latest build of an environment is of interest.
 * @param {Map<string, import("./types.js").Build>} known
 * @param {import("./types.js").Build[]} newer
 */
function mergedBuilds(known, newer) {
  const renewed = new Set(newer.map((build) => build.environment_id));
  const kept = new Map([...known].filter(([id, build]) => newer.some((one) => one.id === id) || !renewed.has(build.environment_id)));
  return merged(kept, newer, "id");
}

/**
 * @param {import("./types.js").BuildJson[]} builds
 * @param {number} now_s
 */
function received(builds, now_s) {
  return builds.map((build) => ({ ...build, received_at: now_s }));
}
