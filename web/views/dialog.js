// @ts-check
/** A question that wants an answer before something is done, for the page that stands alone. */

import { html, nothing, render } from "../html.js";

/** @import { Question } from "../types.js" */
/** @import { Translate } from "../strings.js" */

/**
 * Asks in a dialog of the browser's own: it keeps the focus inside, gives it back afterwards, and Escape is no.
 * @param {Question} question
 * @param {ShadowRoot} root
 * @param {Translate} t
 * @returns {Promise<boolean>}
 */
export function confirmed(question, root, t) {
  const dialog = document.createElement("dialog");
  dialog.className = "dialog";
  dialog.setAttribute("aria-labelledby", "question");
  render(content(question, t), dialog);
  root.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}

/**
 * @param {Question} question
 * @param {Translate} t
 */
function content({ title, message, confirm, details = [], isDangerous = false }, t) {
  return html`<form method="dialog">
    <h2 id="question">${title}</h2>
    <p>${message}</p>
    ${details.length ? html`<ul class="dialog-list">${details.map((one) => html`<li>${one}</li>`)}</ul>` : nothing}
    <div class="actions">
      <button class="button" value="no" autofocus>${t("dialog.cancel")}</button>
      <button class=${isDangerous ? "button is-dangerous" : "button is-main"} value="yes">${confirm}</button>
    </div>
  </form>`;
}
