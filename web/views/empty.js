// @ts-check
/** No isolated pack is here: what this panel is for, and how an author gives a pack an environment of its own. */

import { html } from "../html.js";
import { icon } from "../icons.js";
import { copyable } from "./parts.js";

/** @import { Panel } from "../types.js" */

/** A whole file: an interpreter, two packages, nothing else. */
const EXAMPLE = `python = "3.11"

[pypi-dependencies]
trimesh = "*"
numpy = "<2"
`;

/** @param {Panel} panel */
export function emptyView(panel) {
  const { t } = panel;
  return html`<section class="empty">
    <div class="empty-picture">${icon("packs")}</div>
    <h2>${t("empty.title")}</h2>
    <p>${t("empty.artists")}</p>
    <h3>${t("empty.authors")}</h3>
    <ol>
      <li>${t("empty.step_file", { file: "comfy-env.toml", place: "nodes.py" })}</li>
      <li>${t("empty.step_content")}</li>
    </ol>
    ${copyable(panel, EXAMPLE)}
    <ol start="3">
      <li>${t("empty.step_restart")}</li>
    </ol>
  </section>`;
}
