// @ts-check

/** @import { Server } from "../server.js" */
/** @import { Translate } from "../strings.js" */

export class LogView {
  element = document.createElement("div");

  /** @param {{ server: Server, source: { kind: "environment" | "worker", id: string }, t: Translate }} options */
  constructor(options) {
    options.server.get(`/${options.source.kind}s/${encodeURIComponent(options.source.id)}/log?tail=200`).then(
      (page) => (this.element.textContent = page.text),
      (error) => (this.element.textContent = error.message),
    );
  }

  dispose() {}
}
