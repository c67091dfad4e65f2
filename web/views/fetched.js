// @ts-check
/** Something that is fetched when it is first shown, e.g. `panel.keep(key, () => new Fetched(get, panel.redraw))`. */

import { html } from "../html.js";
import { wordsOf } from "../words.js";
import { note } from "./parts.js";

/** @import { Panel } from "../types.js" */

/** @template Value */
export class Fetched {
  /** @type {Value | undefined} */
  value;
  /** @type {unknown} */
  error;
  #aborting = new AbortController();

  /**
   * @param {(signal: AbortSignal) => Promise<Value>} get
   * @param {() => void} redraw called when it is there, or has failed
   */
  constructor(get, redraw) {
    get(this.#aborting.signal)
      .then((value) => void (this.value = value))
      .catch((error) => void (this.error = error))
      .finally(() => this.#aborting.signal.aborted || redraw());
  }

  /**
   * @param {Panel} panel
   * @param {(value: Value) => unknown} content
   */
  view({ t }, content) {
    if (this.value !== undefined) return content(this.value);
    if (this.error === undefined) return html`<p class="quiet">${t("frame.loading")}</p>`;
    const { message, remedy } = wordsOf(this.error, t);
    return note("failed", html`${message} ${remedy}`);
  }

  dispose() {
    this.#aborting.abort();
  }
}
