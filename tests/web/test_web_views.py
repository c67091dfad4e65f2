"""Workers and the disk in the panel, in a real browser over the real API with real processes and files."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from patience import PATIENCE_S

pytest.importorskip("aiohttp", reason="aiohttp comes with ComfyUI; without it there are no routes to test")
pytest.importorskip("playwright", reason="playwright drives the browser")

from api.stage import Stage
from playwright.sync_api import expect

from host.browser import launch

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Locator, Page

PACK = "mesh-tools"
#: Runs until the file is there that its input names.
WAITING_NODE = """
    import pathlib, time

    class Echo:
        FUNCTION = "echo"
        RETURN_TYPES = ("STRING",)

        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {"text": ("STRING",)}}

        def echo(self, text):
            print("waits for", text, flush=True)
            while not pathlib.Path(text).exists():
                time.sleep(0.02)
            return (text,)

    NODE_CLASS_MAPPINGS = {"Echo": Echo}
"""
MB = 1_000_000


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("views")) as made:
        made.add_pack(PACK, files={"__init__.py": WAITING_NODE})
        made.open()
        made.manager.wait(PATIENCE_S)
        yield made


@pytest.fixture(scope="module")
def context(browser_path: str) -> Iterator[BrowserContext]:
    with launch(browser_path) as browser:
        yield browser.new_context(viewport={"width": 420, "height": 900}, locale="en-GB")


@pytest.fixture
def page(context: BrowserContext, stage: Stage) -> Iterator[Page]:
    page = context.new_page()
    mistakes: list[str] = []
    page.on("pageerror", lambda error: mistakes.append(str(error)))
    page.goto(f"{stage.url}/comfy-env/")
    yield page
    page.close()
    assert mistakes == []


def section(page: Page, name: str) -> Locator:
    page.get_by_role("tab", name=name).click()
    return page.get_by_role("tabpanel")


def worker_card(page: Page) -> Locator:
    return section(page, "Workers").locator(f'[data-worker="{PACK}"]')


@contextmanager
def node_at_work(stage: Stage, tmp_path: Path) -> Iterator[threading.Thread]:
    """A node of the pack runs meanwhile, unless somebody ends its worker."""
    file = tmp_path / "go on"
    thread = threading.Thread(target=run_to_its_end, args=(stage, str(file)))
    thread.start()
    try:
        yield thread
    finally:
        file.touch()
        thread.join(PATIENCE_S)


def run_to_its_end(stage: Stage, text: str) -> None:
    try:
        stage.run_node(PACK, text)
    except RuntimeError as error:
        assert "by hand" in str(error)  # somebody ended its worker


def test_a_worker_at_work_is_ended_only_after_a_yes(page: Page, stage: Stage, tmp_path: Path) -> None:
    with node_at_work(stage, tmp_path) as node:
        card = worker_card(page)
        expect(card.get_by_text("At work")).to_be_visible()

        card.get_by_role("button", name="Restart").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        assert node.is_alive()
        card.get_by_role("button", name="Restart").click()
        page.get_by_role("dialog").get_by_role("button", name="Restart").click()
        node.join(PATIENCE_S)

        assert not node.is_alive()
        expect(card.get_by_text("Ready", exact=True)).to_be_visible()


def test_a_worker_that_does_nothing_is_stopped_by_one_click_and_started_by_another(page: Page) -> None:
    card = worker_card(page)
    expect(card.get_by_text("Ready", exact=True)).to_be_visible()

    card.get_by_role("button", name="Stop").click()
    expect(card.get_by_text("Stopped", exact=True)).to_be_visible()
    card.get_by_role("button", name="Start").click()

    expect(card.get_by_text("Ready", exact=True)).to_be_visible()


def test_what_a_worker_takes_is_drawn_and_said(page: Page) -> None:
    card = worker_card(page)

    memory = card.get_by_role("img", name=re.compile(r"^Memory: now \d.* MB, at most \d.* MB in the last "))
    expect(memory).to_be_visible()
    expect(card.get_by_role("img", name=re.compile("^CPU: now "))).to_be_visible()
    # A line wants two values, which come two seconds apart.
    expect(memory.locator(".spark-line")).to_have_attribute("d", re.compile(r"^M[\d. ]+L120 "))
    card.get_by_role("button", name="Details").click()
    expect(card.get_by_text("Memory of its own")).to_be_visible()


def test_the_log_of_a_worker_follows_its_node(page: Page, stage: Stage, tmp_path: Path) -> None:
    card = worker_card(page)
    card.get_by_role("button", name=f"Log of {PACK}").click()
    lines = card.get_by_role("log")
    expect(lines).to_be_visible()

    with node_at_work(stage, tmp_path):
        expect(lines.get_by_text(f"waits for {tmp_path / 'go on'}")).to_be_visible()
    card.get_by_role("button", name="Hide log").click()

    expect(lines).to_have_count(0)


def test_workers_are_asked_for_only_while_they_are_shown(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.install()
    with page.expect_response("**/workers"):
        page.reload()
        worker_card(page).wait_for()
    # The next question waits for this answer, which comes in real time, whatever the page's clock says.
    with page.expect_request("**/workers"):
        page.clock.run_for(5000)

    section(page, "Help")
    page.get_by_role("heading", name="Check this computer").wait_for()
    before = rounds(asked)
    page.clock.run_for(60_000)

    assert rounds(asked) == before


def rounds(asked: list[str]) -> int:
    return sum(url.endswith("/workers") for url in asked)


def test_the_disk_is_a_picture_and_a_table_that_say_the_same(page: Page, stage: Stage) -> None:
    write_download(stage, 6 * MB)
    disk = section(page, "Disk")

    disk.get_by_role("button", name="Measure again").click()

    picture = disk.get_by_role("img", name=re.compile("^Of .* downloads take 6"))
    expect(picture).to_be_visible()
    row = disk.get_by_role("row", name="cache/uv")
    expect(row.get_by_role("cell").first).to_have_text("6 MB")
    expect(disk.get_by_text(re.compile(r"free of .* on this disk")).first).to_be_visible()
    expect(disk.get_by_text(re.compile("^Measured"))).to_be_visible()


def test_cleaning_up_says_what_goes_asks_and_tells_the_outcome(page: Page, stage: Stage) -> None:
    download = write_download(stage, 6 * MB)
    disk = section(page, "Disk")
    disk.get_by_role("button", name="See what can go").click()
    expect(disk.get_by_text("There is nothing to remove.")).to_be_visible()

    disk.get_by_role("checkbox", name="Downloads too").check()
    expect(disk.get_by_role("list", name="What would be removed")).to_contain_text("cache/uv")
    disk.get_by_role("button", name="Free 6 MB").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("cache/uv (6 MB)")
    dialog.get_by_role("button", name="Cancel").click()
    assert download.exists()
    disk.get_by_role("button", name="Free 6 MB").click()
    dialog.get_by_role("button", name="Free 6 MB").click()

    expect(disk.get_by_text("1 thing removed, 6 MB freed.")).to_be_visible()
    assert not download.exists()
    # The picture is measured again by itself.
    expect(disk.get_by_role("row", name="cache/uv")).to_have_count(0)


def write_download(stage: Stage, size_bytes: int) -> Path:
    download = stage.store.cache_dir / "uv" / "wheel.whl"
    download.parent.mkdir(parents=True, exist_ok=True)
    download.write_bytes(b"x" * size_bytes)
    return download
