// @ts-check
/**
 * Nodes that become available while the page is open appear in it without a reload.
 *
 * The server sends "comfy-env.nodes" when an environment is ready. The page then fetches the node definitions anew and
 * turns the red placeholders of those nodes into real nodes. After a lost connection the server may be another run of
 * itself with other nodes, and events of the meantime are lost: definitions are fetched then, too.
 */

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";

/**
 * Payload of "comfy-env.nodes".
 * @typedef {{ sequence: number, packs: string[], nodes: string[] }} NodesEvent
 */

/**
 * What is used of a node on the canvas. `has_errors` is true for the placeholder of an unknown type.
 * @typedef {{ type: string, has_errors?: boolean }} CanvasNode
 */

const EVENT = "comfy-env.nodes";
const TOAST_MS = 8000;

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
    api.addEventListener(EVENT, (/** @type {CustomEvent<NodesEvent>} */ event) => {
      this.#waiting.push(event.detail);
      this.#refreshSoon();
    });
    api.addEventListener("reconnected", () => this.#refreshSoon());
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

  #refreshSoon() {
    this.#refreshing = this.#refreshing
      .then(() => this.#refresh())
      .catch((error) => console.error("comfy-env: could not refresh the node definitions:", error));
  }

  /** One refresh serves every event that came before it began. */
  async #refresh() {
    const events = this.#waiting.splice(0);
    const known = new Set(Object.keys(window.LiteGraph.registered_node_types));
    await (app.reloadNodeDefs?.() ?? app.refreshComboInNodes());
    for (const type of Object.keys(window.LiteGraph.registered_node_types)) {
      if (!known.has(type)) this.#arrived.add(type);
    }
    for (const type of events.flatMap((event) => event.nodes)) this.#arrived.add(type);
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

/** @param {NodesEvent[]} events */
function tell(events) {
  const packs = [...new Set(events.flatMap((event) => event.packs))].sort();
  const count = new Set(events.flatMap((event) => event.nodes)).size;
  app.extensionManager.toast.add({
    severity: "success",
    summary: `Ready: ${packs.join(", ")}`,
    detail: count === 1 ? "1 node is available now." : `${count} nodes are available now.`,
    life: TOAST_MS,
  });
}

const live = new LiveNodes();
live.listen();

app.registerExtension({
  name: "comfy-env.live-nodes",
  setup: () => live.start(),
  // Not awaited: the page finishes loading the workflow only when this returns.
  afterConfigureGraph: () => void live.graphConfigured(),
});
