"""Builds that somebody watches: from the click to a node that runs, cancelled, failed, and over a reload."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from host.browser import load_page, wait_until_loaded
from host.server import ComfyUI
from panel.driver import Driver
from panel.gated_index import GatedIndex
from panel.stage import DOOMED, FIRST, MISTAKEN, SLOW, node_of


@pytest.mark.short
def test_a_build_is_watched_from_the_click_to_a_node_that_runs_without_a_reload(
    panel: Driver, index: GatedIndex
) -> None:
    index.close(FIRST)
    panel.page.evaluate("() => { window.notReloaded = true; }")

    panel.card(FIRST).get_by_role("button", name="Build").click()
    expect(panel.card(FIRST)).to_contain_text("Building")
    panel.wait_for_badge("1")
    assert "spin" in panel.icon()["icon"]
    article = panel.open_pack(FIRST)
    article.get_by_role("button", name="Log of the build").click()
    expect(panel.log_lines(FIRST).first).to_be_visible()
    expect(article.get_by_role("progressbar")).to_be_visible()

    index.open(FIRST)
    expect(article).to_contain_text("Ready")
    expect(panel.messages().filter(has_text=f"Ready: {FIRST}")).to_be_visible()
    panel.wait_for_node(node_of(FIRST))
    assert panel.icon()["icon"] == "pi pi-box"

    panel.put_on_canvas(node_of(FIRST), text="hello from the canvas")
    entry = panel.run()
    assert entry["status"]["status_str"] == "success"
    assert next(iter(entry["outputs"].values()))["text"] == ["hello from the canvas", FIRST]
    assert panel.page.evaluate("window.notReloaded")


def test_a_build_that_is_cancelled_stops_and_can_be_begun_again(panel: Driver, index: GatedIndex) -> None:
    begin_slowly(panel, index)

    panel.card(SLOW).get_by_role("button", name="Cancel").click()

    expect(panel.card(SLOW)).to_contain_text("Not built")
    assert panel.builds() == []
    panel.card(SLOW).get_by_role("button", name="Build").click()
    expect(panel.card(SLOW)).to_contain_text("Building")


def test_a_build_that_fails_says_why_and_what_to_do(panel: Driver) -> None:
    panel.card(DOOMED).get_by_role("button", name="Build").click()

    card = panel.card(DOOMED)
    expect(card).to_contain_text("Failed")
    failure = panel.comfyui.sites()[DOOMED]["failure"]
    expect(card).to_contain_text(DOOMED)
    panel.wait_for_badge("!")

    card.get_by_role("button", name="Show log").click()
    article = panel.root.get_by_role("article", name=DOOMED)
    expect(article).to_contain_text(failure["message"][:60])
    expect(article).to_contain_text(failure["remedy"][:60])
    expect(panel.log_lines(DOOMED).first).to_be_visible()


def test_a_mistake_in_a_file_is_shown_at_its_line(panel: Driver) -> None:
    panel.card(MISTAKEN).get_by_role("button", name="Show file").click()

    article = panel.root.get_by_role("article", name=MISTAKEN)
    expect(article.locator(".line.is-failed")).to_have_text(re.compile(r"^\s*5\s*\[pypi-options\]\s*$"))
    expect(article).to_contain_text("this is not TOML")


def test_a_reload_during_a_build_finds_it_going_on(panel: Driver, index: GatedIndex) -> None:
    begin_slowly(panel, index)
    lines = panel.log_of(SLOW)

    panel.page.reload()
    wait_until_loaded(panel.page)

    panel.wait_for_badge("1")
    panel.open_tab()
    expect(panel.card(SLOW)).to_contain_text("Building")
    assert panel.log_of(SLOW)[: len(lines)] == lines
    panel.section("Packs")
    panel.card(SLOW).get_by_role("button", name="Cancel").click()
    expect(panel.card(SLOW)).to_contain_text("Not built")


def test_two_browsers_see_the_same_and_either_may_act(
    panel: Driver, index: GatedIndex, browser: Browser, comfyui: ComfyUI
) -> None:
    other = Driver(load_page(browser, comfyui), comfyui)
    other.open_tab()
    begin_slowly(panel, index)

    expect(other.card(SLOW)).to_contain_text("Building")
    other.wait_for_badge("1")
    other.card(SLOW).get_by_role("button", name="Cancel").click()

    for one in (panel, other):
        expect(one.card(SLOW)).to_contain_text("Not built")
        one.wait_for_badge("!")
    other.page.close()


def begin_slowly(panel: Driver, index: GatedIndex) -> None:
    """A build that goes on until the test lets it."""
    index.close(SLOW)
    panel.card(SLOW).get_by_role("button", name="Build").click()
    expect(panel.card(SLOW)).to_contain_text("Building")
