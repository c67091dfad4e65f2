// @ts-check
/** The settings of the server, each saved when it is changed, and where environments live. */

import { html, live, nothing } from "../html.js";
import { icon } from "../icons.js";
import { meant, shownNumber, shownValue } from "../setting_values.js";
import { wordsOf } from "../words.js";
import { Fetched } from "./fetched.js";
import { note } from "./parts.js";
import { storePlaceView } from "./store_place.js";

/** @import { Key } from "../strings.js" */
/** @import { Panel, SettingJson, SettingsJson } from "../types.js" */

/** @type {[Key, string[]][]} which settings stand together; one that is not named here is shown with the last ones */
const GROUPS = [
  ["settings.building", ["build_at_start", "engine"]],
  ["settings.workers", ["max_workers", "idle_timeout_s"]],
  ["settings.sources", ["pypi_index", "conda_mirror", "pixi_mirror", "torch_mirror"]],
];

/** @type {Record<SettingJson["applies"], Key>} */
const APPLIES = {
  now: "settings.applies_now",
  next_build: "settings.applies_next_build",
  restart: "settings.applies_restart",
};

/**
 * What the view remembers of a setting that the server has not taken: what was entered, and why not.
 * @typedef {{ entered: string, message: string, remedy: string }} Refused
 */

/** @param {Panel} panel */
export function settingsView(panel) {
  const { keep, model, redraw, state } = panel;
  const loading = keep("settings", () => new Fetched(() => model.loadSettings().then(() => true), redraw));
  const { settings } = state;
  if (!settings) return html`${loading.view(panel, () => nothing)}`;
  return html`<div class="settings">
    ${settings.file_problem === null ? nothing : note("warning", settings.file_problem)}
    ${GROUPS.map(([title], at) => groupView(panel, title, membersOf(settings, at)))}
    ${storePlaceView(panel, settings.store)}
    <p class="quiet">${panel.t("settings.file")} <span class="mono path">${settings.file}</span></p>
  </div>`;
}

/**
 * @param {SettingsJson} settings
 * @param {number} at index of the group
 */
function membersOf({ settings }, at) {
  const isLast = at === GROUPS.length - 1;
  const elsewhere = new Set(GROUPS.filter((_, other) => other !== at).flatMap(([, names]) => names));
  const mine = new Set(GROUPS[at][1]);
  return settings.filter(({ name }) => mine.has(name) || (isLast && !elsewhere.has(name)));
}

/**
 * @param {Panel} panel
 * @param {Key} title
 * @param {SettingJson[]} settings
 */
function groupView(panel, title, settings) {
  return html`<fieldset class="setting-group">
    <legend><h2>${panel.t(title)}</h2></legend>
    ${settings.map((setting) => settingView(panel, setting))}
  </fieldset>`;
}

/**
 * @param {Panel} panel
 * @param {SettingJson} setting
 */
function settingView(panel, setting) {
  const { t } = panel;
  const { name } = setting;
  const refused = refusedOf(panel).get(name);
  return html`<div class="setting">
    <label for="setting-${name}">${t(/** @type {Key} */ (`settings.${name}`))}</label>
    <p class="quiet" id="help-${name}">${t(/** @type {Key} */ (`settings.${name}_help`))}</p>
    <div class="setting-entry">${controlOf(panel, setting, refused?.entered)} ${resetView(panel, setting)}</div>
    <p class="setting-facts" id="facts-${name}">${sourceOf(panel, setting)} ${t(APPLIES[setting.applies])}</p>
    <div role="alert">
      ${refused ? note("failed", html`${refused.message} ${refused.remedy}`) : nothing}
      ${setting.problem ? note("warning", setting.problem) : nothing}
    </div>
  </div>`;
}

/**
 * @param {Panel} panel
 * @param {SettingJson} setting
 * @param {string | undefined} entered what the server refused
 */
function controlOf(panel, setting, entered) {
  const { t } = panel;
  const { kind, name, value } = setting;
  const onChange = (/** @type {Event} */ event) => enter(panel, setting, /** @type {HTMLInputElement | HTMLSelectElement} */ (event.target));
  if (kind === "choice") {
    const options = setting.choices ?? [];
    return html`<select
      class="field"
      id="setting-${name}"
      aria-describedby="help-${name} facts-${name}"
      ?disabled=${whyFixed(panel, setting) !== null}
      .value=${live(value)}
      @change=${onChange}
    >
      ${options.map(
        (option) =>
          html`<option value=${option} ?selected=${option === value}>${t(/** @type {Key} */ (`settings.${name}_${option}`))}</option>`,
      )}
    </select>`;
  }
  const isNumber = kind === "integer" || kind === "seconds";
  return html`<input
      class="field"
      id="setting-${name}"
      type=${isNumber ? "number" : kind === "url" ? "url" : "text"}
      min=${shownNumber(setting, setting.least) ?? nothing}
      max=${shownNumber(setting, setting.most) ?? nothing}
      step=${kind === "seconds" ? "any" : nothing}
      placeholder=${isNumber ? nothing : t("settings.none")}
      spellcheck="false"
      autocomplete="off"
      aria-describedby="help-${name} facts-${name}"
      aria-invalid=${entered === undefined ? nothing : "true"}
      ?disabled=${whyFixed(panel, setting) !== null}
      .value=${live(entered ?? shownValue(setting))}
      @change=${onChange}
    />${kind === "seconds" ? html`<span class="quiet">${t("settings.minutes")}</span>` : nothing}`;
}

/**
 * @param {Panel} panel
 * @param {SettingJson} setting
 */
function resetView(panel, setting) {
  if (setting.source !== "settings" || whyFixed(panel, setting) !== null) return nothing;
  const { t } = panel;
  return html`<button
    type="button"
    class="plain"
    aria-label=${t("settings.reset_of", { name: t(/** @type {Key} */ (`settings.${setting.name}`)) })}
    title=${t("settings.reset")}
    @click=${() => change(panel, setting, null)}
  >
    ${icon("undo")}
  </button>`;
}

/**
 * @param {Panel} panel
 * @param {SettingJson} setting
 * @returns {string | null} why it cannot be changed here; null if it can
 */
function whyFixed({ t, whyNot }, { source, variable }) {
  return source === "environment" ? t("settings.set_by", { variable: variable ?? "" }) : whyNot;
}

/**
 * @param {Panel} panel
 * @param {SettingJson} setting
 */
function sourceOf(panel, setting) {
  const { t } = panel;
  if (setting.source === "environment") return html`<strong>${whyFixed(panel, setting)}</strong>`;
  return t(setting.source === "settings" ? "settings.chosen" : "settings.default");
}

/**
 * The browser knows the bounds of numbers, and says in the user's words that one is beyond them.
 * @param {Panel} panel
 * @param {SettingJson} setting
 * @param {HTMLInputElement | HTMLSelectElement} field
 */
function enter(panel, setting, field) {
  if (field.validity.rangeUnderflow || field.validity.rangeOverflow || field.validity.stepMismatch) {
    refusedOf(panel).set(setting.name, { entered: field.value, message: field.validationMessage, remedy: "" });
    panel.redraw();
  } else {
    void change(panel, setting, field.value);
  }
}

/**
 * @param {Panel} panel
 * @param {SettingJson} setting
 * @param {string | null} entered null: back to the default
 */
async function change(panel, setting, entered) {
  const refused = refusedOf(panel);
  try {
    await panel.model.changeSettings({ [setting.name]: entered === null ? null : meant(setting, entered) });
    refused.delete(setting.name);
    panel.announce(panel.t("settings.saved"));
  } catch (error) {
    const { message, remedy } = wordsOf(error, panel.t); // an Error, whose message a spread would leave out
    refused.set(setting.name, { entered: entered ?? "", message, remedy });
  }
  panel.redraw();
}

/**
 * @param {Panel} panel
 * @returns {Map<string, Refused>} by the setting's name
 */
function refusedOf({ ui }) {
  return (ui.refused ??= new Map());
}
