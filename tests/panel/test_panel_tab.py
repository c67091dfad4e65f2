"""The tab in ComfyUI's sidebar: opened, left and found again, and over a restart of the server."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from patience import PATIENCE_S
from playwright.sync_api import Browser, expect

from host.base import Place
from host.browser import load_page
from host.installation import Installation
from host.server import ComfyUI
from panel.driver import Driver
from panel.stage import SCRIPTED, WORKS, node_of

OTHER_TAB = """() => app.extensionManager.registerSidebarTab({
    id: "other", icon: "pi pi-bolt", title: "Other", tooltip: "other", type: "custom",
    render: (element) => { element.textContent = "Another custom tab"; },
})"""
SECTIONS = ("Packs", "Workers", "Disk", "Settings", "Help")
SERIOUS = ("serious", "critical")


def test_the_tab_survives_every_way_of_leaving_it(panel: Driver) -> None:
    """ComfyUI gives custom tabs the same place and does not say when it is taken; core tabs get another one."""
    panel.page.evaluate(OTHER_TAB)
    other, library = panel.page.locator('button[aria-label="other"]'), panel.core_tab()
    field = panel.root.get_by_role("searchbox")
    field.fill("panel")

    for leave in (other, library, panel.tab_button):
        leave.click()
        expect(panel.root).to_have_count(0)
        panel.open_tab()
        expect(panel.card(WORKS)).to_be_visible()
        expect(field).to_have_value("panel")
        assert panel.page.get_by_text("Another custom tab").count() == 0
    field.fill("")
    assert panel.page.locator(f'button[aria-label="{"comfy-env"}"]').count() == 1
    panel.page.evaluate("() => app.extensionManager.unregisterSidebarTab('other')")


def test_a_restart_of_the_server_is_noticed_and_made_up_for(
    panel: Driver, comfyui: ComfyUI, stage: Place, front_end_arguments: list[str]
) -> None:
    panel.make_ready(WORKS)
    for child in comfyui.kill():
        child.wait(PATIENCE_S)
    banner = panel.root.locator(".note").filter(has_text="The connection to ComfyUI is lost")
    expect(banner).to_be_visible()

    comfyui.start(stage.base, environment=stage.environment, arguments=front_end_arguments, port=comfyui.port)

    # A server that has just started is slow on a busy machine.
    expect(banner).to_have_count(0)
    expect(panel.card(WORKS)).to_contain_text("Ready")
    panel.wait_for_node(node_of(WORKS))
    panel.put_on_canvas(node_of(WORKS), text="after the restart")
    assert panel.run()["status"]["status_str"] == "success"


def test_the_page_script_of_a_pack_that_became_ready_late_runs(panel: Driver) -> None:
    assert panel.page.evaluate("window.panelScripted") is None

    panel.card(SCRIPTED).get_by_role("button", name="Build").click()

    panel.wait_for_node(node_of(SCRIPTED))
    panel.page.wait_for_function("window.panelScripted === 'set up'")


@pytest.mark.parametrize("palette", ["dark", "light"])
def test_nothing_serious_stands_in_the_way_of_anybody(panel: Driver, palette: str) -> None:
    panel.make_ready(WORKS)
    panel.set("Comfy.ColorPalette", palette)
    panel.page.wait_for_function(
        "(palette) => getComputedStyle(document.documentElement).colorScheme === palette", arg=palette
    )
    try:
        for section in SECTIONS:
            panel.section(section)
            panel.wait_until_calm()
            assert serious_findings(panel) == [], section
        panel.log_of(WORKS)
        assert serious_findings(panel) == []
    finally:
        panel.set("Comfy.ColorPalette", "dark")


def serious_findings(panel: Driver) -> list[str]:
    """Each violation that axe calls serious or worse, with the elements it means."""
    violations = Axe().run(panel.page, context=".comfy-env").response["violations"]
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in violations
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]


def test_a_narrow_sidebar_cuts_nothing_off(panel: Driver) -> None:
    """135 px is the narrowest that the older front end lets a sidebar be."""
    panel.make_ready(WORKS)
    for width in (135, 191, 312):
        panel.root.evaluate("(root, width) => { root.style.width = `${width}px`; }", width)
        for section in SECTIONS:
            panel.section(section)
            panel.wait_until_calm()
            overflow = panel.root.locator("comfy-env-panel").evaluate(
                "(panel) => panel.shadowRoot.querySelector('.panel').scrollWidth - panel.clientWidth"
            )
            assert overflow <= 0, f"{section} at {width} px"
    panel.root.evaluate("(root) => { root.style.width = ''; }")


def test_the_panel_speaks_the_language_of_comfyui(panel: Driver) -> None:
    panel.set("Comfy.Locale", "zh")
    try:
        panel.close_tab()
        panel.tab_button.click()
        expect(panel.root.get_by_role("tab", name="节点包")).to_be_visible()
    finally:
        panel.set("Comfy.Locale", "en")
        panel.close_tab()
        panel.open_tab()


def test_everything_that_was_registered_can_be_taken_away(browser: Browser, comfyui: ComfyUI) -> None:
    panel = Driver(load_page(browser, comfyui), comfyui)
    panel.open_tab()
    panel.page.evaluate(
        """async () => {
            for (const name of ["sidebar", "live-nodes", "node-badges", "node-errors"]) {
                (await import(`/extensions/comfy-env-manager/${name}.js`)).unregister();
            }
        }"""
    )
    expect(panel.tab_button).to_have_count(0)
    expect(panel.root).to_have_count(0)
    panel.page.close()


def test_from_another_machine_everything_is_seen_and_nothing_can_be_changed(
    browser: Browser,
    installation: Installation,
    stage: Place,
    front_end_arguments: list[str],
    tmp_path: Path,
) -> None:
    with ComfyUI(installation, tmp_path / "comfyui.log") as server:
        server.start(
            stage.base,
            environment=stage.environment,
            arguments=[*front_end_arguments, "--listen", "0.0.0.0"],
        )
        panel = Driver(load_page(browser, server), server)
        panel.open_tab()
        why_not = server.get("/comfy-env/status")["policy"]["why_not"]
        expect(panel.root.get_by_role("button", name="Build all")).to_be_disabled()
        expect(panel.root.get_by_role("button", name="Build all")).to_have_attribute("title", why_not)
        settings = panel.section("Settings")
        expect(settings.get_by_label("Engine")).to_be_disabled()
        panel.page.close()
        server.kill()
