// @ts-check
/**
 * What our parts of ComfyUI's page share: one connection, one model, and what the panel is to show when it is opened.
 *
 * Begins when it is first imported, which is while the page loads: from then on the model listens, and events that come
 * before anybody opens the panel are not lost.
 */

import { api } from "../../../scripts/api.js";
import { Model } from "../model.js";
import { Server } from "../server.js";
import { comfyuiTransport } from "../transports.js";
import { openTab } from "./surroundings.js";

/** @import { SiteJson, Target } from "../types.js" */

class Session {
  server = new Server(comfyuiTransport(api));
  model = new Model(this.server);
  /** @type {Promise<void>} settled when the server's state is known, or could not be got */
  known = this.model.start();
  /** @type {{ target: Target, isUrgent: boolean } | null} */
  #pending = null;
  /** @type {Set<() => void>} */
  #listeners = new Set();
  /** @type {Map<string, SiteJson>} by node type, of the sites in `#sitesOfNodes` */
  #siteByNode = new Map();
  /** @type {Map<string, SiteJson> | null} */
  #sitesOfNodes = null;

  constructor() {
    // The log of a build goes on for a moment after its last reader has left; newer front ends report each message that
    // nobody listens to as an error. The model listens to the others.
    this.server.on("comfy-env.log", () => {});
  }

  /**
   * @param {string} nodeType
   * @returns {SiteJson | undefined} where nodes of this type run; undefined for those that run in ComfyUI itself
   */
  siteOf(nodeType) {
    const { sites } = this.model.state;
    if (sites !== this.#sitesOfNodes) {
      this.#sitesOfNodes = sites;
      this.#siteByNode = new Map([...sites.values()].flatMap((site) => site.nodes.map((node) => [node, site])));
    }
    return this.#siteByNode.get(nodeType);
  }

  /** Whether something waits to be looked at in the panel. */
  get isCalling() {
    return this.#pending !== null;
  }

  /** Whether somebody asked for it to be shown now. */
  get isUrgent() {
    return this.#pending?.isUrgent ?? false;
  }

  /**
   * The panel shall show this when it is opened next.
   * @param {Target} target
   */
  call(target) {
    this.#wait({ target, isUrgent: false });
  }

  /**
   * The panel shall show this now.
   * @param {Target} target
   */
  show(target) {
    this.#wait({ target, isUrgent: true });
    openTab();
  }

  /** @returns {Target | null} what waits; it does so no longer */
  answer() {
    const target = this.#pending?.target ?? null;
    if (target) this.#wait(null);
    return target;
  }

  /**
   * @param {() => void} listener called when something begins or ceases to wait
   * @returns {() => void}
   */
  onCall(listener) {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** @param {{ target: Target, isUrgent: boolean } | null} pending */
  #wait(pending) {
    this.#pending = pending;
    for (const listener of [...this.#listeners]) listener();
  }
}

export const session = new Session();
