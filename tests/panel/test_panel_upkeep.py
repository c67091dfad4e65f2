"""What is done to an environment that is there: built once more, rolled back, deleted."""

from __future__ import annotations

import re

from patience import PATIENCE_S
from playwright.sync_api import Locator, expect

from panel.driver import Driver
from panel.stage import KEPT, node_of


def test_an_environment_that_was_rebuilt_and_rolled_back_runs_its_node(panel: Driver) -> None:
    article = built(panel)

    article.get_by_role("button", name="Rebuild").click()
    expect(generation(article)).to_have_text("2")
    wait_until_it_serves(panel, 2)
    assert ran(panel, "rebuilt")
    article.get_by_role("button", name="Roll back").click()
    panel.root.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(generation(article)).to_have_text("2")
    article.get_by_role("button", name="Roll back").click()
    panel.root.get_by_role("dialog").get_by_role("button", name="Roll back").click()

    expect(generation(article)).to_have_text("1")
    wait_until_it_serves(panel, 1)
    expect(article).to_contain_text("Ready")
    assert ran(panel, "rolled back")


def test_an_environment_that_was_deleted_is_not_there_until_somebody_builds_it(
    panel: Driver, front_end: str
) -> None:
    article = built(panel)
    assert ran(panel, "for the worker")

    article.get_by_role("button", name="Delete").click()
    panel.root.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(article).to_contain_text("Ready")
    article.get_by_role("button", name="Delete").click()
    panel.root.get_by_role("dialog").get_by_role("button", name="Delete").click()

    expect(article).to_contain_text("Not built")
    panel.section("Workers")
    start = panel.root.locator(f'[data-worker="{KEPT}"]').get_by_role("button", name="Start")
    expect(start).to_be_disabled()
    expect(start).to_have_attribute("title", re.compile("Build it first"))
    panel.close_tab()
    assert not ran(panel, "deleted")
    if front_end == "1.32.9":
        panel.close_error_dialog()
    panel.open_tab()
    panel.section("Packs")
    panel.card(KEPT).get_by_role("button", name="Build").click()
    expect(panel.card(KEPT)).to_contain_text("Ready")
    assert ran(panel, "built again")


def built(panel: Driver) -> Locator:
    """The article of `KEPT`, which is ready."""
    panel.make_ready(KEPT)
    panel.wait_for_node(node_of(KEPT))
    return panel.open_pack(KEPT)


def generation(article: Locator) -> Locator:
    return article.locator("dt", has_text="Generation").locator("xpath=following-sibling::dd")


def wait_until_it_serves(panel: Driver, number: int) -> None:
    """Until nodes of `KEPT` run in that generation."""
    panel.comfyui.wait_until(
        lambda: panel.comfyui.sites()[KEPT]["serving"]["generation"] == number,
        PATIENCE_S,
        f"generation {number}",
    )
    panel.wait_for_site(KEPT, "ready")


def ran(panel: Driver, text: str) -> bool:
    panel.put_on_canvas(node_of(KEPT), text=text)
    status: str = panel.run()["status"]["status_str"]
    return status == "success"
