// @ts-check
/** What the server might say: whole shapes, of which a test names only what it is about. */

/** @import { BuildJson, ChangesEvent, EnvironmentDetail, EnvironmentJson, PackJson, SiteJson, StatusJson, WorkerJson } from "../../web/types.js" */

/**
 * @param {Partial<SiteJson>} [given]
 * @returns {SiteJson}
 */
export function site(given = {}) {
  const pack = given.pack ?? "mesh";
  return {
    id: pack,
    pack,
    state: "ready",
    failure: null,
    notice: null,
    environment_id: `environment-of-${pack}`,
    nodes: ["Echo"],
    log_path: null,
    left_out: [],
    left_out_text: null,
    warnings: [],
    config_path: `/packs/${pack}/comfy-env.toml`,
    python: "3.11.9",
    serving: null,
    is_root: true,
    ...given,
  };
}

/**
 * @param {Partial<BuildJson>} [given]
 * @returns {BuildJson}
 */
export function build(given = {}) {
  return {
    id: "build-1",
    environment_id: "environment-of-mesh",
    state: "building",
    phase: "installing",
    text: "",
    packages_done: 0,
    packages_total: 0,
    percent: null,
    priority: 0,
    position: 0,
    quiet_s: 0,
    started_at: 1_000_000,
    elapsed_s: 0,
    error: null,
    log_path: null,
    ...given,
  };
}

/**
 * @param {Partial<WorkerJson>} [given]
 * @returns {WorkerJson}
 */
export function worker(given = {}) {
  return {
    site: "mesh",
    pack: "mesh",
    pid: 7,
    state: "idle",
    python: "3.11.9",
    uptime_s: 1,
    calls: 0,
    open_calls: 0,
    queue: 0,
    errors: 0,
    objects: 0,
    cpu_seconds: 0,
    cpu_percent: 0,
    rss_bytes: 1,
    pss_bytes: 1,
    private_bytes: 1,
    vram_bytes: null,
    idle_s: 0,
    start_duration_s: 1,
    last_end: null,
    log_path: "/worker.log",
    ...given,
  };
}

/**
 * @param {Partial<EnvironmentDetail>} [given]
 * @returns {EnvironmentDetail}
 */
export function environment(given = {}) {
  return {
    id: "environment-of-mesh",
    state: "done",
    reason: null,
    sites: ["mesh"],
    packs: ["mesh"],
    python: "3.11.9",
    engine: { name: "pixi", version: "1" },
    package_count: 2,
    built_at: "2026-01-02T03:04:05Z",
    duration_s: 5,
    generation: 1,
    can_roll_back: false,
    build: null,
    built_elsewhere: false,
    error: null,
    size: null,
    has_log: true,
    has_lock: false,
    left_out: [],
    packages: [],
    directory: "/store",
    log_path: null,
    config_path: null,
    facts: [],
    generations: [],
    ...given,
  };
}

/**
 * @param {Partial<PackJson>} [given]
 * @returns {PackJson}
 */
export function pack(given = {}) {
  return { name: "mesh", path: "/packs/mesh", sites: ["mesh"], nodes: 1, files: [], ...given };
}

/**
 * @param {Partial<StatusJson>} [given]
 * @returns {StatusJson}
 */
export function status(given = {}) {
  return {
    run: "run-1",
    sequence: 0,
    version: "1",
    python: "3.11.9",
    comfyui_version: "0.3.75",
    platform: "linux-64",
    engine: { setting: "auto", last_used: null, last_version: null },
    store: { root: "/store", free_bytes: null, total_bytes: null, problem: null },
    policy: { build_mode: "background", may_change: true, why_not: null },
    sites: [],
    builds: [],
    workers: [],
    jobs: [],
    skipped: [],
    mistakes: [],
    shared_memory: null,
    ...given,
  };
}

/**
 * @param {Partial<ChangesEvent>} [given]
 * @returns {ChangesEvent}
 */
export function changes(given = {}) {
  return {
    run: "run-1",
    sequence: 1,
    sites: [],
    builds: [],
    workers: [],
    jobs: [],
    environments: [],
    packs: [],
    settings: false,
    ...given,
  };
}
