// @ts-check
/**
 * The shapes of what the server says (docs/rest.md has them with their meaning), and those that the parts of the panel
 * hand to one another. Nothing here runs.
 *
 * Units are in the names: `*_s` seconds, `*_at` Unix time in seconds unless said to be ISO, `*_bytes`.
 */

/** @typedef {{ cause: string, message: string, remedy: string }} Failure */
/** @typedef {Failure & { log_path: string | null }} SiteFailure */
/** @typedef {SiteFailure & { tail: string[] }} BuildError */

/** @typedef {"unbuilt" | "building" | "describing" | "ready" | "failed" | "stale"} SiteState */
/** @typedef {"missing" | "queued" | "building" | "verifying" | "done" | "failed" | "cancelled"} EnvironmentState */
/** @typedef {"stopped" | "starting" | "idle" | "busy" | "stopping" | "crashed"} WorkerState */
/** @typedef {"queued" | "building" | "verifying" | "done" | "failed" | "cancelled"} BuildState */

/**
 * One isolated directory of a pack. `python`: of what serves. `notice`: what to know although it works.
 * @typedef {{
 *   id: string, pack: string, state: SiteState, failure: SiteFailure | null, notice: string | null,
 *   environment_id: string | null, nodes: string[], log_path: string | null, left_out: string[],
 *   left_out_text: string | null, warnings: string[], config_path: string, python: string | null,
 *   serving: { environment_id: string, generation: number } | null, is_root: boolean,
 * }} SiteJson
 */

/**
 * One build of an environment, under way or the last one that ended. `percent`: null where nobody knows the whole.
 * `quiet_s`: since the last sign of life. `position`: in the queue.
 * @typedef {{
 *   id: string, environment_id: string, state: BuildState, phase: string | null, text: string, packages_done: number,
 *   packages_total: number, percent: number | null, priority: number, position: number | null, quiet_s: number,
 *   started_at: number | null, elapsed_s: number, error: BuildError | null, log_path: string | null,
 * }} BuildJson
 */

/**
 * A build with the moment of this page's clock (seconds) at which it was received: the clocks of two machines differ.
 * @typedef {BuildJson & { received_at: number }} Build
 */

/**
 * @typedef {{
 *   site: string, pack: string, pid: number | null, state: WorkerState, python: string | null, uptime_s: number | null,
 *   calls: number, open_calls: number, queue: number, errors: number, objects: number, cpu_seconds: number | null,
 *   cpu_percent: number | null, rss_bytes: number | null, pss_bytes: number | null, private_bytes: number | null,
 *   vram_bytes: number | null, idle_s: number | null, start_duration_s: number | null, last_end: string | null,
 *   log_path: string,
 * }} WorkerJson
 */

/** @typedef {{ at: number, cpu_percent: number | null, rss_bytes: number | null }} WorkerSample */

/**
 * Work that outlasts its request. `text`: what it does at the moment.
 * @typedef {{
 *   id: string, kind: string, target: string, state: "running" | "done" | "failed" | "cancelled", text: string,
 *   percent: number | null, started_at: number, elapsed_s: number, result: any, error: Failure | null,
 * }} JobJson
 */

/**
 * `policy.why_not`: why nothing may be changed from here, for people. `skipped`: packs that were passed over.
 * `mistakes`: files that cannot be read.
 * @typedef {{
 *   run: string, sequence: number, version: string, python: string, comfyui_version: string | null, platform: string,
 *   engine: { setting: string, last_used: string | null, last_version: string | null },
 *   store: { root: string, free_bytes: number | null, total_bytes: number | null, problem: string | null },
 *   policy: { build_mode: "background" | "blocking" | "off", may_change: boolean, why_not: string | null },
 *   sites: SiteJson[], builds: BuildJson[], workers: WorkerJson[], jobs: JobJson[],
 *   skipped: { name: string, reason: string }[], mistakes: Mistake[], shared_memory: object | null,
 * }} StatusJson
 */

/** @typedef {{ path: string, problem: string, remedy: string }} Mistake */

/**
 * `reason`: why it is in this state, for people. `built_at`: ISO, UTC. `size`: of the last measurement.
 * @typedef {{
 *   id: string, state: EnvironmentState, reason: string | null, sites: string[], packs: string[], python: string | null,
 *   engine: { name: string, version: string | null } | null, package_count: number | null, built_at: string | null,
 *   duration_s: number | null, generation: number | null, can_roll_back: boolean, build: BuildJson | null,
 *   built_elsewhere: boolean, error: Failure | null, size: { unique_bytes: number, shared_bytes: number } | null,
 *   has_log: boolean, has_lock: boolean, left_out: string[],
 * }} EnvironmentJson
 */

/** @typedef {{ name: string, version: string, source: string }} InstalledPackage */
/** @typedef {{ number: number, is_current: boolean, is_previous: boolean, built_at: string | null }} Generation */

/**
 * @typedef {EnvironmentJson & {
 *   packages: InstalledPackage[], directory: string, log_path: string | null, config_path: string | null,
 *   facts: string[], generations: Generation[],
 * }} EnvironmentDetail
 */

/** @typedef {{ level: "error" | "warning", line: number | null, key: string | null, problem: string, remedy: string }} Problem */
/** @typedef {{ path: string, kind: "environment" | "root" | "lock", text: string, problems: Problem[] }} PackFile */
/** @typedef {{ name: string, path: string, sites: string[], nodes: number, files: PackFile[] }} PackJson */

/** @typedef {{ log: string, start: number, end: number, size: number, text: string }} LogPage */

/**
 * @typedef {{
 *   name: string, kind: "environment" | "cache" | "other", unique_bytes: number, shared_bytes: number, packs: string[],
 * }} DiskOwner
 */
/**
 * @typedef {{
 *   measured_at: number, root: string, free_bytes: number | null, total_bytes: number | null, used_bytes: number,
 *   owners: DiskOwner[],
 * }} Disk
 */
/**
 * @typedef {{
 *   items: { kind: string, name: string, reason: string, size_bytes: number }[], kept: { name: string, reason: string }[],
 *   freed_bytes: number,
 * }} GcPreview
 */

/**
 * `least`, `most`: of a number. `applies`: when a change takes effect. `variable`: of the process environment, which
 * decides if `source` is "environment".
 * @typedef {{
 *   name: string, value: any, default: any, source: "default" | "settings" | "environment", variable: string | null,
 *   kind: "choice" | "integer" | "seconds" | "url" | "text", choices: string[] | null, least: number | null,
 *   most: number | null, applies: "now" | "next_build" | "restart", problem: string | null,
 * }} SettingJson
 */
/** @typedef {{ id: string, path: string, free_bytes: number | null,
 *   total_bytes: number | null, is_current: boolean }} StorePlace */
/**
 * @typedef {{
 *   file: string, file_problem: string | null, settings: SettingJson[],
 *   store: { root: string, default_root: string, is_link: boolean, fixed_by: string | null, places: StorePlace[] },
 * }} SettingsJson
 */

/** @typedef {{ subject: string, level: "ok" | "warn" | "fail", text: string, remedy: string }} Finding */

/**
 * What packs ask for beside their environments. `commands`: what installs it. `unreadable`: mistakes in files.
 * @typedef {{
 *   packs: {
 *     pack: string,
 *     system: { section: string, wanted: string[], missing: string[], problem: string | null } | null,
 *     node_packs: { directory: string, state: "present" | "disabled" | "replaced" | "missing", path: string,
 *                   address: string, note: string | null }[],
 *   }[],
 *   unreadable: string[], commands: { pack: string, installs: "system" | "node_packs", command: string }[],
 * }} Prerequisites
 */

/**
 * `comfy-env.changes`: the newest of whatever changed. `environments`: ids to fetch anew.
 * @typedef {{
 *   run: string, sequence: number, sites: SiteJson[], builds: BuildJson[], workers: WorkerJson[], jobs: JobJson[],
 *   environments: string[], packs: string[], settings: boolean,
 * }} ChangesEvent
 */
/** @typedef {{ run: string, sequence: number, packs: string[], nodes: string[], scripts: string[] }} NodesEvent */
/**
 * `comfy-env.log`, to those who follow it.
 * @typedef {{
 *   source: { kind: "environment" | "worker", id: string }, log: string, start: number, end: number, text: string,
 * }} LogEvent
 */

/**
 * How requests and events travel. `on`: events of ComfyUI's websocket by their name; every function that takes a listener
 * returns one that removes it. `clientId`: the name of this page at ComfyUI's websocket, null before it is connected.
 * @typedef {{
 *   fetch: (path: string, init: RequestInit) => Promise<Response>,
 *   url: (path: string) => string,
 *   on: (event: string, listener: (detail: any) => void) => () => void,
 *   onLost: (listener: () => void) => () => void,
 *   onReconnect: (listener: () => void) => () => void,
 *   clientId: () => string | null,
 * }} Transport
 */

/**
 * All that the panel knows. Replaced at every change, never changed: what is the same object has not changed.
 *
 * - `phase`: "loading" until the first answer; "lost" while the server does not answer.
 * - `error`: why the last fetching of everything failed.
 * - `settings`: null until somebody asked for them (`Model.loadSettings`); so `disk`, `prerequisites`.
 * - `details`: of environments that were looked at (`Model.loadEnvironment`).
 * @typedef {{
 *   phase: "loading" | "ready" | "lost", error: import("./server.js").ServerError | null, status: StatusJson,
 *   sites: Map<string, SiteJson>, builds: Map<string, Build>, workers: Map<string, WorkerJson>, jobs: Map<string, JobJson>,
 *   environments: Map<string, EnvironmentJson>, details: Map<string, EnvironmentDetail>, packs: PackJson[],
 *   samples: Map<string, WorkerSample[]>, disk: Disk | null, settings: SettingsJson | null,
 *   prerequisites: Prerequisites | null,
 * }} State
 */

/** @typedef {"packs" | "workers" | "disk" | "settings" | "help"} Section */

/**
 * What to show. `pack`, `environment`, `worker`: which one to open; `log`: with its log; `file`: with the file at the
 * line of its mistake.
 * @typedef {{
 *   section: Section, pack?: string, environment?: string, worker?: string, log?: boolean, file?: boolean,
 * }} Target
 */

/**
 * `confirm`: the word on the button that does it. `details`: a list, e.g. of what will be deleted.
 * @typedef {{ title: string, message: string, confirm: string, details?: string[], isDangerous?: boolean }} Question
 */

/**
 * What ComfyUI's page offers; left out on the page that stands alone. `confirm` gives true for yes and anything else for
 * no.
 * @typedef {{
 *   toast?: (toast: { severity: "success" | "info" | "warn" | "error", summary: string, detail?: string }) => void,
 *   confirm?: (question: Question) => Promise<boolean | null | undefined>,
 * }} Surroundings
 */

/**
 * What a view is called with, at every drawing.
 *
 * - `cards`: of all packs, in their order.
 * - `target`: what is shown. `show` changes it.
 * - `t`: a text in the user's language. `format`: numbers in it.
 * - `act(doing)`: a listener for a button: runs `doing`, shows meanwhile that it is at it, ignores further clicks, and shows
 *   the server's words if it fails. `act(doing, saying)` tells `saying` to screen readers when it has succeeded.
 * - `confirm`: true only if the user said yes.
 * - `ui`: what the view of this section remembers between drawings; `redraw()` after changing it.
 * - `keep(key, make)`: what `make` gave at the first drawing that asked for it, for as long as every drawing asks; `dispose()` is
 *   called after the first one that does not, and when the panel leaves the page. For a log that is followed, for polling.
 * - `whyNot`: why nothing may be changed from here, in words; null where it may. Disable such buttons and say it.
 * @typedef {{
 *   state: State, cards: import("./overview.js").Card[], model: import("./model.js").Model, server: import("./server.js").Server, target: Target,
 *   t: import("./strings.js").Translate, format: import("./format.js").Format,
 *   show: (target: Target) => void, confirm: (question: Question) => Promise<boolean>,
 *   act: (doing: () => Promise<unknown>, saying?: string) => (event: Event) => Promise<void>,
 *   announce: (text: string) => void, ui: Record<string, any>, redraw: () => void,
 *   keep: <Thing extends { dispose: () => void }>(key: string, make: () => Thing) => Thing, whyNot: string | null,
 *   surroundings: Surroundings,
 * }} Panel
 */

export {};
