// @ts-check
/**
 * An isolated node shows where it runs: "geometry · Python 3.13", beside the badges of ComfyUI.
 *
 * Only facts that stay: with Vue nodes a badge is read when its node is put on the page, and not again.
 */

import { app } from "../../scripts/app.js";
import { session } from "../../comfy-env/web/comfyui/session.js";
import { SETTINGS, setting, t } from "../../comfy-env/web/comfyui/surroundings.js";

/** @import { SiteJson } from "../web/types.js" */

/** What is used of a node. @typedef {{ type: string, comfyClass?: string, badges: (() => object)[] }} CanvasNode */

/** As readable on a light canvas as on a dark one. */
const COLOURS = { fgColor: "#ffffff", bgColor: "#2f4f7f" };
/** So long the first workflow waits for the names of the isolated nodes; they are asked for long before. */
const PATIENCE_MS = 1500;

class NodeBadges {
  /** @type {WeakSet<CanvasNode>} */
  #badged = new WeakSet();
  #off = () => {};

  start() {
    let { sites } = session.model.state;
    this.#off = session.model.subscribe((state) => {
      if (state.sites === sites) return;
      sites = state.sites;
      for (const node of canvasNodes()) this.add(node);
      redraw();
    });
  }

  /** Badges that are there stay until their node is made anew. */
  unregister() {
    this.#off();
  }

  /** @param {CanvasNode} node */
  add(node) {
    const type = node.comfyClass ?? node.type;
    if (this.#badged.has(node) || !session.siteOf(type)) return;
    this.#badged.add(node);
    node.badges.push(() => new window.LGraphBadge({ text: badgeText(type), ...COLOURS }));
  }
}

/** @param {string} type @returns {string} "" is not drawn */
function badgeText(type) {
  const site = session.siteOf(type);
  if (!site || setting(SETTINGS.nodeBadges) === false) return "";
  const python = site.python?.split(".").slice(0, 2).join(".");
  return python ? `${site.pack} · Python ${python}` : site.pack;
}

/** Of all open graphs. */
function* canvasNodes() {
  if (!app.rootGraph) return;
  yield* app.rootGraph.nodes;
  for (const subgraph of app.rootGraph.subgraphs?.values() ?? []) yield* subgraph.nodes;
}

function redraw() {
  app.canvas?.setDirty(true, true);
}

const badges = new NodeBadges();

app.registerExtension({
  name: "comfy-env.node-badges",
  settings: [
    {
      id: SETTINGS.nodeBadges,
      category: ["comfy-env", t("comfyui.settings_canvas"), "NodeBadges"],
      name: t("comfyui.settings_badges"),
      tooltip: t("comfyui.settings_badges_help"),
      type: "boolean",
      defaultValue: true,
      onChange: redraw,
    },
  ],
  setup: async () => {
    badges.start();
    await Promise.race([session.known, new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
  },
  nodeCreated: (/** @type {CanvasNode} */ node) => badges.add(node),
});

export const unregister = () => badges.unregister();
