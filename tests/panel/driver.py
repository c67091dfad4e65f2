"""What a user does in ComfyUI's page, and what he sees there. Waits for conditions, never for time."""

from __future__ import annotations

from typing import Any

from patience import PATIENCE_S
from playwright.sync_api import Locator, Page, expect

from host.server import ComfyUI

TAB = "comfy-env"
UNDER_WAY = ("queued", "building", "verifying")
TAB_ENTRY = "app.extensionManager.sidebarTab.sidebarTabs.find((tab) => tab.id === 'comfy-env')"


class Driver:
    """One page of one browser."""

    def __init__(self, page: Page, comfyui: ComfyUI) -> None:
        self.page = page
        self.comfyui = comfyui

    # --- the tab ----------------------------------------------------------------------------------------------------

    @property
    def root(self) -> Locator:
        """The panel, wherever it is shown."""
        return self.page.locator(".comfy-env")

    @property
    def tab_button(self) -> Locator:
        return self.page.locator(f'button[aria-label="{TAB}"]')

    def open_tab(self) -> None:
        if not self.root.is_visible():
            self.tab_button.click()
        expect(self.root.get_by_role("tab", name="Packs")).to_be_visible()

    def close_tab(self) -> None:
        self.tab_button.click()
        expect(self.root).to_have_count(0)

    def core_tab(self) -> Locator:
        """The button of a tab of ComfyUI's own, of the nodes."""
        return self.page.locator(".node-library-tab-button, [data-testid='node-library-tab-button']")

    def icon(self) -> dict[str, Any]:
        """What our icon in the sidebar says: ``{"icon", "badge"}``."""
        entry: dict[str, Any] = self.page.evaluate(
            f"(() => {{ const tab = {TAB_ENTRY}; return {{ icon: tab.icon, badge: tab.iconBadge }}; }})()"
        )
        return entry

    def wait_for_badge(self, badge: str | None) -> None:
        self.page.wait_for_function(f"(badge) => {TAB_ENTRY}.iconBadge === badge", arg=badge)

    def wait_for_no_call(self) -> None:
        """Until our icon asks for nothing, unless a pack failed."""
        has_failed = any(site["state"] == "failed" for site in self.comfyui.sites().values())
        self.wait_for_badge("!" if has_failed else None)

    # --- the panel --------------------------------------------------------------------------------------------------

    def section(self, name: str) -> Locator:
        """Shows a section, from wherever the panel is, and returns its content."""
        tab = self.root.get_by_role("tab", name=name)
        tab.click()
        expect(tab).to_have_attribute("aria-selected", "true")
        return self.root.get_by_role("tabpanel")

    def card(self, pack: str) -> Locator:
        return self.root.locator(f'[data-pack="{pack}"]')

    def open_pack(self, pack: str) -> Locator:
        """Opens a pack and returns its article."""
        self.section("Packs")
        self.card(pack).get_by_role("button", name=pack, exact=True).click()
        article = self.root.get_by_role("article", name=pack)
        expect(article).to_be_visible()
        return article

    def log_lines(self, text: str) -> Locator:
        """What is in sight of the log that is open."""
        return self.root.locator(".log").get_by_text(text)

    def log_of(self, pack: str) -> list[str]:
        """Opens the log of a pack's build and returns the lines that are in sight."""
        head = self.open_pack(pack).get_by_role("button", name="Log of the build")
        if head.get_attribute("aria-expanded") == "false":
            head.click()
        expect(self.log_lines(pack).first).to_be_visible()
        return self.root.locator(".log-line").all_inner_texts()

    def wait_until_calm(self) -> None:
        """Until what a section fetches is there."""
        expect(self.root.get_by_text("Asking ComfyUI …")).to_have_count(0)

    # --- the canvas -------------------------------------------------------------------------------------------------

    def put_on_canvas(self, node_type: str, **widgets: Any) -> None:
        """An empty workflow with that one node; `widgets`: its values."""
        self.page.evaluate(
            """([type, values]) => {
                app.graph.clear();
                const node = LiteGraph.createNode(type);
                app.graph.add(node);
                for (const widget of node.widgets) {
                    if (widget.name in values) widget.value = values[widget.name];
                }
            }""",
            [node_type, widgets],
        )

    def run(self) -> dict[str, Any]:
        """Queues what is on the canvas and returns its history entry."""
        known = set(self.comfyui.get("/history"))
        self.page.evaluate("() => app.queuePrompt(0)")
        found: list[str] = []

        def has_ended() -> bool:
            found.extend(set(self.comfyui.get("/history")) - known)
            return bool(found)

        self.comfyui.wait_until(has_ended, 60, "the workflow to run")
        entry: dict[str, Any] = self.comfyui.get(f"/history/{found[0]}")[found[0]]
        return entry

    def wait_for_node(self, node_type: str) -> None:
        """Until the page knows it, by itself."""
        self.page.wait_for_function("(type) => type in LiteGraph.registered_node_types", arg=node_type)

    def badges(self, node_type: str) -> list[str]:
        """The texts that our badges draw on the first node of a type; those of ComfyUI are left out."""
        texts: list[str] = self.page.evaluate(
            """(type) => {
                const node = app.graph.nodes.find((node) => node.type === type);
                return node.badges.map((badge) => (badge instanceof LGraphBadge ? badge : badge()).text);
            }""",
            node_type,
        )
        return [text for text in texts if "Python" in text]

    def set(self, setting: str, value: object) -> None:
        """One of ComfyUI's settings."""
        self.page.evaluate("([id, value]) => app.extensionManager.setting.set(id, value)", [setting, value])

    def messages(self) -> Locator:
        """ComfyUI's toasts, in either front end."""
        return self.page.locator(".p-toast-message, [data-testid=toast]")

    def close_error_dialog(self) -> None:
        """ComfyUI's own, with which the older front end covers the page after a node failed."""
        dialog = self.page.locator(".p-dialog-mask")
        expect(dialog).to_be_visible()
        self.page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)

    # --- the server's side ------------------------------------------------------------------------------------------

    def make_ready(self, pack: str) -> None:
        """Not by clicks: for tests of what comes afterwards."""
        if self.comfyui.sites()[pack]["state"] != "ready":
            self.comfyui.post("/comfy-env/build", {"sites": [pack]})
            self.wait_for_site(pack, "ready")

    def wait_for_site(self, pack: str, *states: str) -> dict[str, Any]:
        self.comfyui.wait_until(
            lambda: self.comfyui.sites()[pack]["state"] in states, PATIENCE_S, f"{pack} to be {states}"
        )
        return self.comfyui.sites()[pack]

    def worker(self, site: str) -> dict[str, Any]:
        workers: list[dict[str, Any]] = self.comfyui.get("/comfy-env/workers")["workers"]
        return next(worker for worker in workers if worker["site"] == site)

    def builds(self) -> list[dict[str, Any]]:
        """Those under way."""
        builds = self.comfyui.get("/comfy-env/status")["builds"]
        return [build for build in builds if build["state"] in UNDER_WAY]

    def cancel_all(self) -> None:
        for build in self.builds():
            self.comfyui.post(f"/comfy-env/environments/{build['environment_id']}/cancel", {})
        self.comfyui.wait_until(lambda: not self.builds(), 60, "all builds to end")
