// @ts-check
/** What the list of packs shows: which pack stands how, what is under way for it, and what comes first. Pure. */

/** @import { Build, EnvironmentJson, PackJson, Problem, SiteJson, State } from "./types.js" */
/** @import { Translate } from "./strings.js" */

/**
 * How a pack stands, told by the one of its directories that stands worst.
 * - "mistake": one of its files cannot be read, so that it asks for nothing.
 * - "queued": a build waits for its turn.
 * @typedef {"failed" | "mistake" | "stale" | "unbuilt" | "building" | "queued" | "describing" | "ready"} PackState
 */

/** The worst first; cards are sorted by it. What needs somebody, then what goes on by itself, then what works. */
const ORDER = /** @type {const} */ (["failed", "mistake", "stale", "unbuilt", "building", "queued", "describing", "ready"]);

/** @type {ReadonlySet<PackState>} */
const NEED_SOMEBODY = new Set(["failed", "mistake", "stale", "unbuilt"]);
/** @typedef {"attention" | "building" | "ready"} Group */

/** @type {ReadonlySet<string>} */
const BUILDABLE = new Set(["failed", "stale", "unbuilt"]);
/** @type {ReadonlySet<PackState>} */
const UNDER_WAY = new Set(["building", "queued", "describing"]);
/** More changes at once than anybody listens to. */
const MANY = 3;

/** @type {ReadonlySet<string>} states of a build that has not ended */
const RUNNING = new Set(["queued", "building", "verifying"]);

/**
 * @typedef {{
 *   name: string, state: PackState, sites: SiteJson[], pack: PackJson | null, builds: Build[], nodes: number,
 *   pythons: string[], errors: number, warnings: number,
 * }} Card
 */

/**
 * One for each pack that has isolated directories, or a file that should have made some.
 * @param {State} state
 * @returns {Card[]} in the order in which they are shown
 */
export function cards(state) {
  /** @type {Map<string, SiteJson[]>} */
  const sitesOf = new Map(state.packs.map((pack) => [pack.name, []]));
  for (const site of state.sites.values()) {
    const sites = sitesOf.get(site.pack);
    if (sites) sites.push(site);
    else sitesOf.set(site.pack, [site]);
  }
  const packOf = new Map(state.packs.map((pack) => [pack.name, pack]));
  const builds = runningBuilds(state);
  return [...sitesOf].map(([name, sites]) => card(name, sites, packOf.get(name) ?? null, builds)).sort(byUrgency);
}

/**
 * @param {string} name
 * @param {SiteJson[]} sites
 * @param {PackJson | null} pack
 * @param {Map<string | null, Build>} builds under way, by environment
 * @returns {Card}
 */
function card(name, sites, pack, builds) {
  const problems = pack?.files.flatMap((file) => file.problems) ?? [];
  const errors = count(problems, "error");
  const states = sites.map((site) => (errors > 0 && site.failure?.cause === "config" ? "mistake" : siteState(site, builds.get(site.environment_id))));
  if (errors > 0) states.push("mistake");
  return {
    name,
    state: ORDER.find((one) => states.includes(one)) ?? "ready",
    sites,
    pack,
    builds: sites.flatMap((site) => builds.get(site.environment_id) ?? []),
    nodes: sites.reduce((sum, site) => sum + site.nodes.length, 0),
    pythons: [...new Set(sites.flatMap(({ python }) => python ?? []))],
    errors,
    warnings: count(problems, "warning") + sites.reduce((sum, site) => sum + site.warnings.length, 0),
  };
}

/**
 * @param {Card} card
 * @returns {Group} who has to do something next: somebody, the machine, nobody
 */
export function groupOf({ state }) {
  if (NEED_SOMEBODY.has(state)) return "attention";
  return UNDER_WAY.has(state) ? "building" : "ready";
}

/**
 * Who cancels a build knows that it did not succeed: that is no failure, there is just no environment.
 * @param {SiteJson} site
 * @param {Build} [build] the one under way that it waits for
 * @returns {PackState}
 */
export function siteState(site, build) {
  if (site.failure?.cause === "cancelled") return "unbuilt";
  return build?.state === "queued" ? "queued" : site.state;
}

/**
 * @param {State} state
 * @returns {Map<string | null, Build>} the builds under way, by their environment
 */
export function runningBuilds({ builds }) {
  return new Map([...builds.values()].filter(isRunning).map((build) => [build.environment_id, build]));
}

/** @param {Build} build */
export function isRunning(build) {
  return RUNNING.has(build.state);
}

/**
 * How long it has been going on: what the server said, and the time since it said it.
 * @param {Build} build
 * @param {number} now_s of this page's clock
 */
export function elapsedS(build, now_s) {
  return build.elapsed_s + (isRunning(build) && build.state !== "queued" ? now_s - build.received_at : 0);
}

/**
 * @param {Card[]} cards
 * @returns {{ all: number, ready: number, building: number, attention: number, toBuild: number, nodes: number }} `toBuild`: how
 *   many a build may help
 */
export function totals(cards) {
  return {
    all: cards.length,
    ready: cards.filter((card) => groupOf(card) === "ready").length,
    building: cards.filter((card) => groupOf(card) === "building").length,
    attention: cards.filter((card) => groupOf(card) === "attention").length,
    toBuild: cards.filter(({ sites }) => sites.some(({ state }) => BUILDABLE.has(state))).length,
    nodes: cards.reduce((sum, card) => sum + card.nodes, 0),
  };
}

/**
 * The environments of a pack, each with those of its directories that use it.
 * @param {Card} card
 * @param {State} state
 * @returns {{ id: string | null, environment: EnvironmentJson | null, sites: SiteJson[] }[]}
 */
export function environmentsOf(card, state) {
  const sitesOf = grouped(card.sites, (site) => site.environment_id);
  return [...sitesOf].map(([id, sites]) => ({
    id,
    environment: (id && state.environments.get(id)) || null,
    sites,
  }));
}

/**
 * Whether a card belongs to what somebody types: every word is in its name, its nodes or the word for its state.
 * @param {Card} card
 * @param {string} words
 * @param {Translate} t
 */
export function matches(card, words, t) {
  const text = [card.name, t(`state.${card.state}`), ...card.sites.flatMap((site) => site.nodes)].join("\n").toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/**
 * What screen readers are told of a change.
 * @param {State} before
 * @param {State} after
 * @param {Translate} t
 * @returns {string} empty for changes that are of no interest
 */
export function announcement(before, after, t) {
  if (before.phase !== after.phase && after.phase === "lost") return t("frame.lost");
  if (before.phase === "lost" && after.phase === "ready") return t("frame.found_again");
  if (before.phase !== "ready" || after.phase !== "ready") return "";
  if (before.sites === after.sites) return "";
  const changed = [...after.sites.values()].filter((site) => before.sites.get(site.id)?.state !== site.state);
  if (changed.length > MANY) return t("frame.many_changed", { count: changed.length });
  const builds = runningBuilds(after);
  const words = (/** @type {SiteJson} */ site) => t(`state.${siteState(site, builds.get(site.environment_id))}`);
  return changed.map((site) => t("frame.became", { pack: site.pack, state: words(site) })).join(" ");
}

/** @param {Problem[]} problems @param {Problem["level"]} level */
function count(problems, level) {
  return problems.filter((problem) => problem.level === level).length;
}

/**
 * Names of folders, in a hurry: comparing as a language does takes longer than drawing all of them.
 * @param {string} a
 * @param {string} b
 */
function byName(a, b) {
  return a < b ? -1 : Number(a > b);
}

/** @param {Card} a @param {Card} b */
function byUrgency(a, b) {
  return ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || byName(a.name.toLowerCase(), b.name.toLowerCase());
}

/**
 * @template Item, Group
 * @param {Item[]} items
 * @param {(item: Item) => Group} groupOf
 * @returns {Map<Group, Item[]>} in the order in which groups first occur
 */
export function grouped(items, groupOf) {
  /** @type {Map<Group, Item[]>} */
  const groups = new Map();
  for (const item of items) {
    const group = groupOf(item);
    groups.set(group, [...(groups.get(group) ?? []), item]);
  }
  return groups;
}
