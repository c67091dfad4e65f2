// @ts-check
/** The element that the panel lives in: with a style of its own, which neither takes from the page nor gives to it. */

const TAG = "comfy-env-panel";

const STYLES = [
  "panel.css",
  "views/packs.css",
  "views/log.css",
  "views/workers.css",
  "views/disk.css",
  "views/settings.css",
].map((name) => new URL(name, import.meta.url).href);

/**
 * Tells when it comes into the page and when it leaves it: ComfyUI takes a tab's content out without saying so, and may put
 * it in again later.
 */
class PanelElement extends HTMLElement {
  onConnected = () => {};
  onDisconnected = () => {};
  root = this.attachShadow({ mode: "open" });

  /** Nothing is seen before the first stylesheet is there: it would be seen without any style. */
  dress() {
    const links = STYLES.map(stylesheet);
    this.root.append(...links);
    this.style.visibility = "hidden";
    links[0].onload = links[0].onerror = () => void (this.style.visibility = "");
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
  element.dress();
  return element;
}

/** @param {string} href */
function stylesheet(href) {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = href;
  return link;
}
