// @ts-check
/**
 * The panel as a tab of ComfyUI's sidebar. Its icon tells what is being built and that something failed.
 *
 * The panel itself is loaded when the page has nothing better to do, so that the first click on the tab shows it at once.
 */

import { app } from "../../scripts/app.js";
import { session } from "../../comfy-env/web/comfyui/session.js";
import { language, t, TAB_ID, toast } from "../../comfy-env/web/comfyui/surroundings.js";
import { whenIdle } from "../../comfy-env/web/idle.js";
import { ICON, tabIcon } from "../../comfy-env/web/comfyui/tab_icon.js";

const PANEL = "../../comfy-env/web/panel.js";

class Sidebar {
  /** The one thing that is ever put into the tab: ComfyUI may call `render` again and again, and with another place. */
  #root = document.createElement("div");
  /** @type {{ language: string, panel: ReturnType<typeof import("../web/panel.js").mountPanel> } | null} */
  #mounted = null;
  /** @type {(() => void)[]} */
  #offs = [];

  register() {
    this.#root.className = "comfy-env";
    app.extensionManager.registerSidebarTab({
      id: TAB_ID,
      icon: ICON,
      title: "comfy-env",
      // Constant: it is the name of the button for screen readers and for tests.
      tooltip: "comfy-env",
      type: "custom",
      render: (/** @type {HTMLElement} */ place) => this.#render(place),
    });
    this.#offs = [session.model.subscribe(() => this.#showIcon()), session.onCall(() => this.#called())];
    this.#showIcon();
    void session.known.then(() => whenIdle(anticipate));
  }

  unregister() {
    for (const off of this.#offs.splice(0)) off();
    app.extensionManager.unregisterSidebarTab(TAB_ID);
    this.#mounted?.panel.unmount();
    this.#mounted = null;
  }

  /**
   * Must not throw: what was there before, another tab's content, would stay under our icon.
   * @param {HTMLElement} place
   */
  #render(place) {
    place.replaceChildren(this.#root);
    this.#open().catch((error) => {
      console.error("comfy-env: could not show the panel:", error);
      this.#root.textContent = t("comfyui.no_panel", { error: String(error) });
    });
  }

  async #open() {
    const { mountPanel } = await import(PANEL);
    if (this.#mounted?.language !== language()) this.#mount(mountPanel);
    const target = session.answer();
    if (target) this.#mounted?.panel.show(target);
  }

  /** @param {typeof import("../web/panel.js").mountPanel} mountPanel */
  #mount(mountPanel) {
    this.#mounted?.panel.unmount();
    const { model, server } = session;
    const panel = mountPanel(this.#root, { model, server, language: language(), comfyui: { toast } });
    this.#mounted = { language: language(), panel };
  }

  /** Something waits to be looked at: at once if somebody asked for it, else when the tab is opened. */
  #called() {
    this.#showIcon();
    if (session.isUrgent && this.#root.isConnected) void this.#open();
  }

  /** The entry of the list, not the object that was given: ComfyUI watches its own. */
  #showIcon() {
    const tab = app.extensionManager.sidebarTab.sidebarTabs.find((/** @type {{ id: string }} */ { id }) => id === TAB_ID);
    const { icon, badge } = tabIcon(session.model.state, session.isCalling);
    if (tab.icon !== icon) tab.icon = icon;
    if (tab.iconBadge !== badge) tab.iconBadge = badge;
  }
}

function anticipate() {
  import(PANEL).catch((error) => console.warn("comfy-env: the panel could not be loaded, it will be tried again:", error));
}

const sidebar = new Sidebar();

app.registerExtension({ name: "comfy-env.sidebar", setup: () => sidebar.register() });

export const unregister = () => sidebar.unregister();
