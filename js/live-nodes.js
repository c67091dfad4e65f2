// @ts-check
/**
 * Nodes that become available while the page is open appear in it without a reload.
 *
 * The server sends "comfy-env.nodes" when an environment is ready. The page then fetches the node definitions anew and
 * turns the red placeholders of those nodes into real nodes. After a lost connection the server may be another run of
 * itself with other nodes, and events of the meantime are lost: definitions are fetched then, too.
 *
 * What those packs bring for the page is imported before that, as ComfyUI does when it loads the page.
 */

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { SETTINGS, setting, t, toast } from "../../comfy-env/web/comfyui/surroundings.js";

/** @import { NodesEvent } from "../web/types.js" */

/**
 * What is used of an extension of the page.
 * @typedef {{ name: string, init?: (app: any) => unknown, setup?: (app: any) => unknown }} PageExtension
 */

/**
 * What is used of a node on the canvas. `has_errors` is true for the placeholder of an unknown type.
 * @typedef {{ type: string, has_errors?: boolean }} CanvasNode
 */

const EVENT = "comfy-env.nodes";

class LiveNodes {
  /** @type {() => void} called when the page has its first definitions: nothing can be refreshed before. */
  start = () => {};
  /** @type {Promise<void>} the refresh under way; the next one waits for it. */
  #refreshing = new Promise((resolve) => (this.start = resolve));
  /** @type {NodesEvent[]} events that no refresh has taken up yet. */
  #waiting = [];
  /** @type {Set<string>} types that arrived while this page was open. */
  #arrived = new Set();
  #isRepairing = false;

  listen() {
    api.addEventListener(EVENT, this.#onNodes);
    api.addEventListener("reconnected", this.#refreshSoon);
  }

  unregister() {
    api.removeEventListener(EVENT, this.#onNodes);
    api.removeEventListener("reconnected", this.#refreshSoon);
  }

  /**
   * Another workflow was put on the canvas. Newer front ends remember with each open workflow which nodes it lacked, and
   * outline them in red one frame after loading it, although they are real by now.
   */
  async graphConfigured() {
    if (this.#isRepairing || this.#arrived.size === 0) return;
    await nextFrame();
    await nextFrame();
    await this.#repair();
  }

  #onNodes = (/** @type {CustomEvent<NodesEvent>} */ { detail }) => {
    this.#waiting.push(detail);
    this.#refreshSoon();
  };

  #refreshSoon = () => {
    this.#refreshing = this.#refreshing
      .then(() => this.#refresh())
      .catch((error) => console.error("comfy-env: could not refresh the node definitions:", error));
  };

  /** One refresh serves every event that came before it began. */
  async #refresh() {
    const events = this.#waiting.splice(0);
    const known = new Set(Object.keys(window.LiteGraph.registered_node_types));
    const late = await importScripts(events.flatMap((event) => event.scripts ?? []));
    await callEach(late, "init");
    await (app.reloadNodeDefs?.() ?? app.refreshComboInNodes());
    for (const type of Object.keys(window.LiteGraph.registered_node_types)) {
      if (!known.has(type)) this.#arrived.add(type);
    }
    for (const type of events.flatMap((event) => event.nodes)) this.#arrived.add(type);
    await callEach(late, "setup");
    await this.#repair();
    if (events.length) tell(events);
  }

  /**
   * Loads the graph on the canvas again, which makes nodes of its placeholders and keeps values, links, view and undo.
   * Only when there is a placeholder: a reload drops some displayed results. The fourth argument says that it is the
   * same workflow; without it a second tab would open.
   */
  async #repair() {
    if (![...canvasNodes()].some((node) => node.has_errors && this.#arrived.has(node.type))) return;
    this.#isRepairing = true;
    try {
      const workflow = app.extensionManager.workflow.activeWorkflow;
      const quiet = { showMissingNodesDialog: false, showMissingModelsDialog: false };
      await app.loadGraphData(app.rootGraph.serialize(), true, false, workflow, quiet);
    } finally {
      this.#isRepairing = false;
    }
  }
}

/** @returns {Promise<number>} */
function nextFrame() {
  return new Promise((resolve) => requestAnimationFrame(resolve));
}

/**
 * Every node of the workflow on the canvas, those inside subgraphs included.
 * @returns {Generator<CanvasNode>}
 */
function* canvasNodes() {
  yield* app.rootGraph.nodes;
  for (const subgraph of app.rootGraph.subgraphs?.values() ?? []) yield* subgraph.nodes;
}

/**
 * Imports page scripts that were not there when the page was loaded. One that fails is as one that fails at the start of the
 * page: the console has it, and the others go on.
 * @param {string[]} paths as in ComfyUI's own list of extensions
 * @returns {Promise<PageExtension[]>} what they registered
 */
async function importScripts(paths) {
  const before = new Set(app.extensions);
  for (const path of new Set(paths)) {
    try {
      await import(api.fileURL(path));
    } catch (error) {
      console.error(`comfy-env: could not import ${path}:`, error);
    }
  }
  const disabled = new Set(setting("Comfy.Extension.Disabled"));
  return app.extensions.filter((/** @type {PageExtension} */ one) => !before.has(one) && !disabled.has(one.name));
}

/**
 * ComfyUI calls these two once, when the page is loaded, and never for an extension that is registered later; most
 * extensions do all their work in them. The other hooks of late extensions are called as usual.
 * @param {PageExtension[]} extensions
 * @param {"init" | "setup"} hook
 */
async function callEach(extensions, hook) {
  for (const extension of extensions) {
    try {
      await extension[hook]?.(app);
    } catch (error) {
      console.error(`comfy-env: ${hook} of the extension ${extension.name} failed:`, error);
    }
  }
}

/** @param {NodesEvent[]} events */
function tell(events) {
  const packs = [...new Set(events.flatMap((event) => event.packs))].sort();
  const count = new Set(events.flatMap((event) => event.nodes)).size;
  toast({
    severity: "success",
    summary: t("comfyui.ready", { packs: packs.join(", ") }),
    detail: t("comfyui.nodes_available", { count }),
  });
}

const live = new LiveNodes();
live.listen();

app.registerExtension({
  name: "comfy-env.live-nodes",
  settings: [
    {
      id: SETTINGS.toasts,
      category: ["comfy-env", t("comfyui.settings_messages"), "Toasts"],
      name: t("comfyui.settings_toasts"),
      tooltip: t("comfyui.settings_toasts_help"),
      type: "boolean",
      defaultValue: true,
    },
  ],
  setup: () => live.start(),
  // Not awaited: the page finishes loading the workflow only when this returns.
  afterConfigureGraph: () => void live.graphConfigured(),
});

export const unregister = () => live.unregister();
