"""Workers, and nodes that fail in them."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from panel.driver import Driver
from panel.stage import FIRST, node_of


@pytest.fixture
def running(panel: Driver) -> Driver:
    """`FIRST` is ready, its node is on the canvas and ran once."""
    panel.make_ready(FIRST)
    panel.wait_for_node(node_of(FIRST))
    panel.put_on_canvas(node_of(FIRST), text="once")
    assert panel.run()["status"]["status_str"] == "success"
    return panel


@pytest.mark.short
def test_a_worker_is_restarted_by_a_click(running: Driver) -> None:
    running.section("Workers")
    before = running.worker(FIRST)
    row = running.root.locator(f'[data-worker="{FIRST}"]')
    expect(row).to_contain_text(f"process {before['pid']}")

    row.get_by_role("button", name="Restart").click()

    running.comfyui.wait_until(lambda: has_new_process(running, before), 60, "another process")
    expect(row).to_contain_text(f"process {running.worker(FIRST)['pid']}")


def has_new_process(panel: Driver, before: dict[str, object]) -> bool:
    now = panel.worker(FIRST)
    return now["pid"] not in (None, before["pid"]) and now["state"] == "idle"


def test_a_node_that_failed_leads_to_the_log_of_its_worker(running: Driver, front_end: str) -> None:
    running.close_tab()
    running.put_on_canvas(node_of(FIRST), text="fail")

    assert running.run()["status"]["status_str"] == "error"

    message = running.messages().filter(has_text=f"{node_of(FIRST)} of {FIRST} failed")
    expect(message).to_be_visible()
    running.wait_for_badge("!")
    if front_end == "1.32.9":
        expect(message).to_contain_text("in the comfy-env tab of the sidebar")
        running.close_error_dialog()
        running.open_tab()
    else:
        message.get_by_role("button", name="Show the worker's log").click()

    expect(running.root.get_by_role("tab", name="Workers")).to_have_attribute("aria-selected", "true")
    expect(running.log_lines(f"{node_of(FIRST)} was given fail").first).to_be_visible()
    running.wait_for_no_call()


def test_an_isolated_node_shows_where_it_runs_unless_switched_off(running: Driver) -> None:
    python = ".".join(running.comfyui.sites()[FIRST]["python"].split(".")[:2])
    assert running.badges(node_of(FIRST)) == [f"{FIRST} · Python {python}"]
    running.put_on_canvas("PreviewAny")
    assert running.badges("PreviewAny") == []

    running.put_on_canvas(node_of(FIRST))
    running.set("comfy-env.NodeBadges", False)
    assert running.badges(node_of(FIRST)) == []
    running.set("comfy-env.NodeBadges", True)


def test_the_badge_is_drawn_with_vue_nodes_too(running: Driver) -> None:
    running.set("Comfy.VueNodes.Enabled", True)
    try:
        running.put_on_canvas(node_of(FIRST))
        expect(running.page.get_by_text(f"{FIRST} · Python")).to_be_visible()
    finally:
        running.set("Comfy.VueNodes.Enabled", False)
