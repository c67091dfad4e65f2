// @ts-check
/** The element that the panel lives in: with a style of its own, which neither takes from the page nor gives to it. */

const TAG = "comfy-env-panel";

/**
 * Tells when it comes into the page and when it leaves it: ComfyUI takes a tab's content out without saying so, and may put
 * it in again later.
 */
class PanelElement extends HTMLElement {
  onConnected = () => {};
  onDisconnected = () => {};
  root = this.attachShadow({ mode: "open" });

  /** @type {Map<string, Promise<unknown>>} by name */
  #stylesheets = new Map();

  /**
   * @param {string} name of a stylesheet in this directory; those that are there already stay as they are
   * @returns {Promise<unknown>} settled when it is there, or cannot be had: what has no style can still be read
   */
  dress(name) {
    const known = this.#stylesheets.get(name) ?? this.#link(new URL(name, import.meta.url).href);
    this.#stylesheets.set(name, known);
    return known;
  }

  /** @param {string} href */
  #link(href) {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = href;
    this.root.append(link);
    return new Promise((resolve) => (link.onload = link.onerror = resolve));
  }

  connectedCallback() {
    this.onConnected();
  }

  disconnectedCallback() {
    this.onDisconnected();
  }
}

/** Whichever copy of this module came first has named the element; a second one, from another address, uses it. */
export function newElement() {
  if (!customElements.get(TAG)) customElements.define(TAG, PanelElement);
  const element = /** @type {PanelElement} */ (document.createElement(TAG));
  // Nothing is seen before the first stylesheet is there: it would be seen without any style.
  element.style.visibility = "hidden";
  void element.dress("panel.css").then(() => (element.style.visibility = ""));
  return element;
}
