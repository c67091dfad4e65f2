// @ts-check
/** One environment of a pack: how it stands, what is in it, where it came from, and what can be done with it. */

import { html, nothing } from "../html.js";
import { runningBuilds, siteState } from "../overview.js";
import { path } from "../server.js";
import { contentsView } from "./contents.js";
import { failureView } from "./failure.js";
import { button, dotted, note, stateWord } from "./parts.js";
import { progressView } from "./progress.js";

/** @import { EnvironmentJson, Panel, SiteJson } from "../types.js" */

/** @typedef {{ id: string | null, environment: EnvironmentJson | null, sites: SiteJson[] }} Used an environment and whose it is */

/**
 * @param {Panel} panel
 * @param {Used} used
 * @param {boolean} isMistaken whether a file of the pack has a mistake, which is shown at its line
 */
export function environmentView(panel, used, isMistaken) {
  const { t } = panel;
  const { environment, sites, id } = used;
  return html`<section class="environment" data-environment=${id ?? nothing}>
    ${sites.map((site) => siteView(panel, site, environment, isMistaken))}
    ${environment ? html`${factsView(panel, environment, sites)} ${actionsView(panel, environment)} ${contentsView(panel, environment, sites)}` : nothing}
    ${id && !environment ? html`<p class="quiet">${t("frame.loading")}</p>` : nothing}
  </section>`;
}

/**
 * @param {Panel} panel
 * @param {SiteJson} site
 * @param {EnvironmentJson | null} environment
 * @param {boolean} isMistaken
 */
function siteView(panel, site, environment, isMistaken) {
  const { state, t } = panel;
  const build = runningBuilds(state).get(site.environment_id);
  const error = environment?.build?.error;
  return html`<div class="site">
    ${site.id === site.pack ? nothing : html`<h3 class="site-name">${nameInPack(site)} ${stateWord(panel, siteState(site, build))}</h3>`}
    ${build ? progressView(panel, build) : nothing}
    ${site.state === "describing" ? html`<p class="quiet">${t("environment.describing")}</p>` : nothing}
    ${site.failure && !build ? failureView(panel, site, site.failure, {
          tail: error?.message === site.failure.message ? error.tail : [],
          isToldBelow: isMistaken && site.failure.cause === "config",
        }) : nothing}
    ${site.notice ? note("info", site.notice) : nothing}
    ${site.left_out_text ? note("warning", site.left_out_text) : nothing}
    ${site.warnings.map((warning) => note("warning", warning))}
  </div>`;
}

/** @param {SiteJson} site "geometry/nodes/mesh" of the pack "geometry" is "nodes/mesh" there */
function nameInPack({ id, pack }) {
  return id.startsWith(`${pack}/`) ? id.slice(pack.length + 1) : id;
}

/**
 * @param {Panel} panel
 * @param {EnvironmentJson} environment
 * @param {SiteJson[]} sites
 */
function factsView({ t, format, state }, environment, sites) {
  const { python, engine, size, package_count, built_at, duration_s, generation } = environment;
  const isToldAbove = runningBuilds(state).has(environment.id) || sites.some((site) => site.failure);
  const built =
    built_at &&
    html`<time datetime=${built_at} title=${format.moment(built_at)}>${format.ago(built_at)}</time>${duration_s === null
        ? nothing
        : ` (${t("environment.took", { duration: format.duration(duration_s) })})`}`;
  const facts = [
    [t("environment.python"), python],
    [t("environment.engine"), engine && [engine.name, engine.version].filter(Boolean).join(" ")],
    [t("environment.packages"), package_count === null ? null : format.number(package_count)],
    [t("environment.size"), size && sizeText(size, t, format)],
    [t("environment.built"), built],
    [t("environment.generation"), generation === null ? null : format.number(generation)],
    [t("environment.id"), html`<code>${environment.id}</code>`],
  ];
  return html`<div class="about">
    ${environment.reason && !isToldAbove ? html`<p class="quiet">${environment.reason}</p>` : nothing}
    ${environment.packs.length > 1 ? html`<p class="quiet">${t("environment.shared", { packs: environment.packs.join(", ") })}</p>` : nothing}
    ${environment.built_elsewhere ? note("info", t("environment.elsewhere")) : nothing}
    <dl class="facts">
      ${facts.map(([name, value]) => (value === null || value === "" ? nothing : html`<div><dt>${name}</dt><dd>${value}</dd></div>`))}
    </dl>
  </div>`;
}

/**
 * @param {{ unique_bytes: number, shared_bytes: number }} size
 * @param {Panel["t"]} t
 * @param {Panel["format"]} format
 */
function sizeText({ unique_bytes, shared_bytes }, t, format) {
  return dotted([
    t("environment.unique", { size: format.bytes(unique_bytes) }),
    shared_bytes ? t("environment.shared_size", { size: format.bytes(shared_bytes) }) : null,
  ]);
}

/**
 * @param {Panel} panel
 * @param {EnvironmentJson} environment
 */
function actionsView(panel, environment) {
  const { t, act, server, whyNot, state } = panel;
  const { id, generation, can_roll_back } = environment;
  if (runningBuilds(state).has(id)) return nothing;
  const hasBuilt = generation !== null;
  const rebuild = act(() => server.post(path`/environments/${id}/rebuild`), t("packs.asked_to_build"));
  return html`<div class="actions">
    ${hasBuilt ? button({ label: t("environment.rebuild"), icon: "rebuild", onClick: rebuild, whyNot }) : nothing}
    ${can_roll_back ? button({ label: t("environment.roll_back"), icon: "undo", onClick: act(() => rollBack(panel, environment)), whyNot }) : nothing}
    ${hasBuilt ? button({ label: t("environment.delete"), icon: "trash", onClick: act(() => remove(panel, environment)), whyNot }) : nothing}
  </div>`;
}

/**
 * @param {Panel} panel
 * @param {EnvironmentJson} environment
 */
async function rollBack({ t, confirm, server }, { id, packs }) {
  const isSure = await confirm({
    title: t("environment.roll_back_question", { packs: packs.join(", ") }),
    message: t("environment.roll_back_means"),
    confirm: t("environment.roll_back"),
  });
  if (isSure) await server.post(path`/environments/${id}/roll-back`);
}

/**
 * @param {Panel} panel
 * @param {EnvironmentJson} environment
 */
async function remove({ t, format, confirm, server, model }, { id, packs, size }) {
  const isSure = await confirm({
    title: t("environment.delete_question", { packs: packs.join(", ") || id }),
    message: size ? t("environment.delete_frees", { size: format.bytes(size.unique_bytes) }) : t("environment.delete_means"),
    confirm: t("environment.delete"),
    isDangerous: true,
  });
  if (isSure) await model.finish(await server.delete(path`/environments/${id}`));
}
