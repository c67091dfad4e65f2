// @ts-check
/** What can be looked into of an environment: its log, packages, nodes, builds, and what it was built from. */

import { html, nothing } from "../html.js";
import { icon } from "../icons.js";
import { path } from "../server.js";
import { Fetched } from "./fetched.js";
import { logPlace } from "./log_place.js";
import { disclosure } from "./parts.js";

/** @import { EnvironmentDetail, EnvironmentJson, Panel, SiteJson } from "../types.js" */

/** States in which something is written into the log. */
const BEING_BUILT = new Set(["building", "verifying"]);

/**
 * @param {Panel} panel
 * @param {EnvironmentJson} environment
 * @param {SiteJson[]} sites
 */
export function contentsView(panel, environment, sites) {
  const { t, format, target } = panel;
  const { id } = environment;
  const nodes = sites.flatMap((site) => site.nodes);
  const wantsLog = Boolean(target.log) && (target.environment ?? id) === id;
  return html`<div class="contents">
    ${environment.has_log
      ? disclosure(panel, { key: `log ${id}`, part: "log", title: t("contents.log"), isOpen: wantsLog, content: () => logPlace(panel, { kind: "environment", id }, BEING_BUILT.has(environment.state)) })
      : nothing}
    ${environment.package_count
      ? disclosure(panel, {
          key: `packages ${id}`,
          title: t("contents.packages"),
          extra: format.number(environment.package_count),
          content: () => withDetail(panel, id, (detail) => packagesView(panel, detail)),
        })
      : nothing}
    ${nodes.length
      ? disclosure(panel, {
          key: `nodes ${id}`,
          title: t("contents.nodes"),
          extra: format.number(nodes.length),
          content: () => html`<ul class="nodes">${nodes.map((node) => html`<li>${node}</li>`)}</ul>`,
        })
      : nothing}
    ${environment.generation === null
      ? nothing
      : disclosure(panel, {
          key: `generations ${id}`,
          title: t("contents.generations"),
          content: () => withDetail(panel, id, (detail) => generationsView(panel, detail)),
        })}
    ${sites.map((site) =>
      disclosure(panel, {
        key: `manifest ${site.id}`,
        title: t("contents.manifest"),
        extra: sites.length > 1 ? site.id : nothing,
        content: () => manifestView(panel, environment, site),
      }),
    )}
  </div>`;
}

/**
 * @param {Panel} panel
 * @param {string} id
 * @param {(detail: EnvironmentDetail) => unknown} content
 */
function withDetail(panel, id, content) {
  const { keep, model, redraw, state } = panel;
  const loading = keep(`detail of ${id}`, () => new Fetched(() => model.loadEnvironment(id), redraw));
  // What was fetched first is outdated as soon as the server says so; the model has the newest.
  return loading.view(panel, () => {
    const detail = state.details.get(id);
    return detail ? content(detail) : nothing;
  });
}

/**
 * @param {Panel} panel
 * @param {EnvironmentDetail} detail
 */
function packagesView({ t }, { packages, facts, directory }) {
  return html`
    <div class="table-place" tabindex="0" role="region" aria-label=${t("contents.packages")}>
      <table>
        <thead>
          <tr><th scope="col">${t("contents.name")}</th><th scope="col">${t("contents.version")}</th><th scope="col">${t("contents.source")}</th></tr>
        </thead>
        <tbody>
          ${packages.map(({ name, version, source }) => html`<tr><td>${name}</td><td class="mono">${version}</td><td class="quiet">${source}</td></tr>`)}
        </tbody>
      </table>
    </div>
    ${facts.length ? html`<ul class="quiet plain-list">${facts.map((fact) => html`<li>${fact}</li>`)}</ul>` : nothing}
    <p class="mono quiet path">${directory}</p>
  `;
}

/**
 * @param {Panel} panel
 * @param {EnvironmentDetail} detail
 */
function generationsView({ t, format }, { generations }) {
  return html`<ul class="plain-list">
    ${generations.map(
      ({ number, is_current, is_previous, built_at }) => html`<li>
        <strong>${t("contents.generation", { number })}</strong>
        ${is_current ? html`<span class="state is-ready">${icon("check")}${t("contents.current")}</span>` : nothing}
        ${is_previous ? html`<span class="quiet">${t("contents.previous")}</span>` : nothing}
        ${built_at ? html`<time class="quiet" datetime=${built_at}>${format.moment(built_at)}</time>` : nothing}
      </li>`,
    )}
  </ul>`;
}

/**
 * What the file amounts to on this machine, as the engine is told it.
 * @param {Panel} panel
 * @param {EnvironmentJson} environment
 * @param {SiteJson} site
 */
function manifestView(panel, { id, has_lock }, site) {
  const { keep, server, redraw, t } = panel;
  const fetched = keep(
    `manifest of ${site.id}`,
    () => new Fetched((signal) => server.get(path`/sites/${site.id}/manifest`, { signal }), redraw),
  );
  return html`
    <p class="quiet">${t("contents.manifest_means")}</p>
    ${fetched.view(panel, (text) => html`<pre class="code" tabindex="0">${text}</pre>`)}
    ${has_lock
      ? html`<a class="button" href=${server.url(path`/environments/${id}/lock`)} download="pixi.lock">${icon("download")}${t("contents.lock")}</a>`
      : nothing}
  `;
}
