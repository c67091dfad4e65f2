// @ts-check
/** Asking again and again, while somebody watches and the page is visible. */

/** @typedef {Pick<Document, "visibilityState" | "addEventListener" | "removeEventListener">} Page */

export class Polling {
  #ask;
  #everyMs;
  #page;
  #watchers = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {() => Promise<void>} ask must not reject
   * @param {number} everyMs from one answer to the next question
   * @param {Page} page
   */
  constructor(ask, everyMs, page) {
    this.#ask = ask;
    this.#everyMs = everyMs;
    this.#page = page;
  }

  /** @returns {() => void} ends the watching */
  watch() {
    this.#watchers += 1;
    if (this.#watchers === 1) {
      this.#page.addEventListener("visibilitychange", this.#onVisibility);
      this.#soon(0);
    }
    let isWatching = true;
    return () => {
      if (isWatching) this.#unwatch();
      isWatching = false;
    };
  }

  #unwatch() {
    this.#watchers -= 1;
    if (this.#watchers > 0) return;
    clearTimeout(this.#timer);
    this.#page.removeEventListener("visibilitychange", this.#onVisibility);
  }

  #onVisibility = () => {
    if (this.#page.visibilityState === "visible") this.#soon(0);
  };

  /** @param {number} ms */
  #soon(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#poll(), ms);
  }

  async #poll() {
    if (this.#page.visibilityState !== "visible") return;
    await this.#ask();
    if (this.#watchers > 0) this.#soon(this.#everyMs);
  }
}
