// @ts-check
/** A place for a log in a drawing. What logs need is loaded when the first one is shown. */

import { html } from "../html.js";
import { Fetched } from "./fetched.js";

/** @import { LogEvent, Panel } from "../types.js" */

/**
 * A log, from where the user left it, for as long as drawings ask for it.
 * @param {Panel} panel
 * @param {LogEvent["source"]} source
 * @param {boolean | null} [isGrowing] whether what writes the log is at work; null if nobody knows
 */
export function logPlace(panel, source, isGrowing = null) {
  const { format, keep, redraw, server, t } = panel;
  const module = keep("the module of logs", () => new Fetched(() => import("./log.js"), redraw));
  const content = module.view(panel, ({ LogView }) => {
    const view = keep(`log of ${source.kind} ${source.id}`, () => new LogView({ server, source, t, format }));
    view.isGrowing = isGrowing;
    return view.element;
  });
  return html`<div class="log-place">${content}</div>`;
}
