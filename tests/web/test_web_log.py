"""The log view in a real browser: what the lines look like, how they scroll, follow, are found, copied and saved."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from patience import PATIENCE_S

pytest.importorskip("aiohttp", reason="aiohttp comes with ComfyUI; without it no server plays the log's")
pytest.importorskip("playwright", reason="playwright drives the browser")

from playwright.sync_api import BrowserContext, Locator, Page
from web.log_server import LogServer, WrittenLog

from host.browser import launch

MANY = 100_000
#: Waits for so many frames.
FRAMES = "async (count) => { while (count--) await new Promise((next) => requestAnimationFrame(next)); }"
#: Texts of the rows that are in sight, from top to bottom.
IN_SIGHT = """() => {
    const { top, bottom } = view.element.querySelector('.log-scroll').getBoundingClientRect();
    return [...view.element.querySelectorAll('.log-row')]
        .map((row) => ({ text: row.textContent, box: row.getBoundingClientRect() }))
        .filter(({ box }) => box.bottom > top + 1 && box.top < bottom - 1)
        .sort((one, other) => one.box.top - other.box.top)
        .map(({ text }) => text);
}"""
#: How far the text of any row reaches over the view's right edge; a space at the end of a row may.
OVERHANG_PX = """() => {
    const { right } = view.element.querySelector('.log-scroll').getBoundingClientRect();
    return Math.max(...[...view.element.querySelectorAll('.log-row')].map((row) => {
        const text = document.createRange();
        text.setStart(row, 0);
        text.setEnd(row.lastChild, row.lastChild.data.trimEnd().length);
        return text.getBoundingClientRect().right - right;
    }));
}"""
SELECT = """([first, start, last, end]) => {
    const rows = [...view.element.querySelectorAll('.log-row')];
    const row = (text) => rows.find((row) => row.textContent.startsWith(text));
    const place = (element, letters) => {
        const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
        for (let text = texts.nextNode(); text; letters -= text.length, text = texts.nextNode())
            if (letters <= text.length) return [text, letters];
    };
    document.getSelection().setBaseAndExtent(...place(row(first), start), ...place(row(last), end));
}"""
COPIED = """() => {
    const everywhere = { bubbles: true, cancelable: true, composed: true };
    const event = new ClipboardEvent('copy', { clipboardData: new DataTransfer(), ...everywhere });
    view.element.querySelector('.log-scroll').dispatchEvent(event);
    return event.clipboardData.getData('text/plain');
}"""


@pytest.fixture(scope="module")
def context(browser_path: str) -> Iterator[BrowserContext]:
    with launch(browser_path) as browser:
        yield browser.new_context(viewport={"width": 800, "height": 600})


@pytest.fixture(scope="module")
def only_server() -> Iterator[LogServer]:
    """One for all tests: its address stays, and with it what the browser has read of the panel's modules."""
    with LogServer() as server:
        yield server


@pytest.fixture
def server(only_server: LogServer) -> LogServer:
    only_server.reset()
    return only_server


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    page = context.new_page()
    mistakes: list[str] = []
    page.on("pageerror", lambda error: mistakes.append(str(error)))
    yield page
    page.close()
    assert mistakes == []


class LogPage:
    """What a user sees and does."""

    def __init__(self, page: Page, server: LogServer) -> None:
        self.page = page
        self.server = server
        page.goto(server.url)

    @property
    def lines(self) -> Locator:
        return self.page.get_by_role("log")

    @property
    def search(self) -> Locator:
        return self.page.get_by_role("searchbox")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name)

    def wait_for(self, text: str) -> None:
        """Until a row in sight begins with it."""
        self.page.wait_for_function(f"(text) => ({IN_SIGHT})().some((row) => row.startsWith(text))", arg=text)

    def rows_in_sight(self) -> list[str]:
        self.page.evaluate(FRAMES, 2)
        rows: list[str] = self.page.evaluate(IN_SIGHT)
        return rows

    def scroll_to(self, top: int) -> None:
        self.lines.evaluate("(element, top) => { element.scrollTop = top; }", top)
        self.page.evaluate(FRAMES, 2)


def numbered(count: int, first: int = 0) -> str:
    return "".join(f"20:00:00 line {number} of the log\n" for number in range(first, first + count))


def test_of_a_hundred_thousand_lines_those_in_sight_are_in_the_document(
    page: Page, server: LogServer
) -> None:
    server.log.content = numbered(MANY).encode()
    log = LogPage(page, server)
    log.wait_for(f"20:00:00 line {MANY - 1} ")

    log.lines.press("Home")
    log.wait_for("20:00:00 line 0 ")
    rows = log.rows_in_sight()

    assert rows == [f"20:00:00 line {number} of the log" for number in range(len(rows))]
    assert page.locator(".log-row").count() < 100
    log.lines.press("End")
    log.wait_for(f"20:00:00 line {MANY - 1} ")


def test_what_is_written_appears_and_the_end_stays_in_sight(page: Page, server: LogServer) -> None:
    server.log.content = numbered(500).encode()
    log = LogPage(page, server)
    log.wait_for("20:00:00 line 499 ")
    wait_until_followed(server, page)

    server.write(numbered(300, first=500))

    log.wait_for("20:00:00 line 799 ")


def test_who_scrolled_up_is_left_in_peace_and_jumps_to_the_newest_line(page: Page, server: LogServer) -> None:
    server.log.content = numbered(1000).encode()
    log = LogPage(page, server)
    log.wait_for("20:00:00 line 999 ")
    wait_until_followed(server, page)
    log.scroll_to(3600)
    before = log.rows_in_sight()
    assert before[0].startswith("20:00:00 line 200 ")

    server.write(numbered(50, first=1000))
    jump = log.button("50 new lines")
    jump.wait_for()
    assert log.rows_in_sight() == before
    jump.click()

    log.wait_for("20:00:00 line 1049 ")
    assert jump.count() == 0


def test_older_lines_come_in_above_without_moving_what_is_read(page: Page, server: LogServer) -> None:
    server.log.content = numbered(50_000).encode()
    log = LogPage(page, server)
    log.wait_for("20:00:00 line 49999 ")

    log.scroll_to(100)
    page.wait_for_function("() => view.element.querySelector('.log-scroll').scrollTop > 18 * 1000")

    assert log.rows_in_sight()[0].startswith("20:00:00 line 48005 ")


def test_the_search_looks_through_the_whole_log_and_goes_from_match_to_match(
    page: Page, server: LogServer
) -> None:
    text = numbered(30_000).replace("line 17 ", "needle 17 ").replace("line 29000 ", "Needle 29000 ")
    server.log.content = text.encode()
    log = LogPage(page, server)
    log.wait_for("20:00:00 line 29999 ")

    log.lines.press("/")
    page.keyboard.type("needle")
    page.get_by_text("2 of 2", exact=True).wait_for()
    log.wait_for("20:00:00 Needle 29000 ")
    page.keyboard.press("Enter")

    page.get_by_text("1 of 2", exact=True).wait_for()
    log.wait_for("20:00:00 needle 17 ")
    assert page.locator("mark.is-current").inner_text() == "needle"
    page.keyboard.press("Escape")
    page.locator("mark").first.wait_for(state="detached")
    assert page.evaluate("view.element.getRootNode().activeElement.role") == "log"


def test_the_search_finds_what_is_cut_off_and_shows_it(page: Page, server: LogServer) -> None:
    server.log.content = ("x" * 9000 + "needle" + "x" * 9000 + "\n").encode()
    log = LogPage(page, server)
    page.locator(".log-row").wait_for()
    assert page.locator(".log-row").get_attribute("data-hidden") == "+16006"

    log.search.fill("needle")

    current = page.locator("mark.is-current")
    current.wait_for()
    page.evaluate(FRAMES, 2)
    box, view = current.bounding_box(), log.lines.bounding_box()
    assert box is not None and view is not None
    assert view["x"] <= box["x"] and box["x"] + box["width"] <= view["x"] + view["width"]


def test_markup_and_escapes_in_a_log_are_text(page: Page, server: LogServer) -> None:
    server.log.content = (
        b"<img src=x onerror=\"document.title='owned'\"><b>bold</b>\n\x1b[31merror: red\x1b[0m\n"
    )
    log = LogPage(page, server)
    log.wait_for("error: red")

    assert log.rows_in_sight()[0] == "<img src=x onerror=\"document.title='owned'\"><b>bold</b>"
    assert page.locator(".log-row :is(img, b)").count() == 0
    assert page.title() == "log"
    assert page.locator(".log-row.is-error").inner_text() == "error: red"


def test_a_copy_has_rows_that_are_out_of_sight_and_all_of_long_lines(page: Page, server: LogServer) -> None:
    long = "long " + "y" * 9000
    lines = ["20:00:00 first", long, *(f"row {number}" for number in range(500)), "last row of all"]
    server.log.content = ("\n".join(lines) + "\n").encode()
    log = LogPage(page, server)
    log.wait_for("last row of all")
    log.scroll_to(0)
    log.wait_for("20:00:00 first")

    page.evaluate(SELECT, ["20:00:00 first", 9, "row 5", 3])
    assert page.evaluate(COPIED) == "\n".join(
        ["first", long, *(f"row {number}" for number in range(5)), "row"]
    )

    # The end of the selection goes on below while its beginning is scrolled out of the document's sight.
    log.scroll_to(1_000_000)
    log.wait_for("last row of all")
    page.evaluate(SELECT, ["20:00:00 first", 9, "last row of all", 8])
    assert page.evaluate(COPIED) == "\n".join(["first", *lines[1:-1], "last row"])


def test_everything_is_selected_with_one_key(page: Page, server: LogServer) -> None:
    server.log.content = numbered(700).encode()
    log = LogPage(page, server)
    log.wait_for("20:00:00 line 699 ")

    log.lines.press("Control+a")

    assert page.evaluate(COPIED) + "\n" == numbered(700)


def test_the_whole_log_is_copied_and_saved(page: Page, server: LogServer) -> None:
    server.log.content = numbered(5000).encode()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    log = LogPage(page, server)
    log.wait_for("20:00:00 line 4999 ")

    log.button("Copy the selection, or everything").click()
    page.get_by_text("5,000 lines copied").wait_for()
    with page.expect_download() as download:
        log.button("Save as a file").click()

    assert page.evaluate("navigator.clipboard.readText()") == numbered(5000)
    assert download.value.suggested_filename == "pack-nodes.log"
    assert Path(download.value.path()).read_text("utf-8") == numbered(5000)


def test_a_page_of_another_machine_copies_without_the_newer_clipboard(page: Page, server: LogServer) -> None:
    """Over plain http browsers offer `navigator.clipboard` to pages of this machine alone."""
    server.log.content = b"one\ntwo\n"
    page.context.grant_permissions(["clipboard-read"])
    log = LogPage(page, server)
    log.wait_for("two")
    page.evaluate("window.clipboard = navigator.clipboard")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")

    log.button("Copy the selection, or everything").click()

    page.get_by_text("2 lines copied").wait_for()
    assert page.evaluate("clipboard.readText()") == "one\ntwo\n"


def test_keys_that_mean_something_to_comfyui_stay_in_the_log(page: Page, server: LogServer) -> None:
    server.log.content = b"one\n"
    log = LogPage(page, server)
    log.wait_for("one")
    page.evaluate("window.keys = []; document.addEventListener('keydown', (event) => keys.push(event.key))")

    for key in ("Delete", "r", "Home", "Control+Enter"):
        log.lines.press(key)

    assert page.evaluate("keys") == ["Control", "Enter"]


def test_long_lines_are_wrapped_on_request_and_in_a_narrow_view(page: Page, server: LogServer) -> None:
    line = "20:00:00 " + " ".join(f"word{number}" for number in range(60))
    server.log.content = (line + "\n").encode()
    log = LogPage(page, server)
    log.wait_for("20:00:00 word0")
    assert len(log.rows_in_sight()) == 1

    log.button("Wrap long lines").click()
    page.locator(".log-row").nth(1).wait_for()
    rows = log.rows_in_sight()
    assert "".join(rows) == line
    assert page.evaluate(OVERHANG_PX) <= 0
    log.button("Wrap long lines").click()
    page.locator(".log-row").nth(1).wait_for(state="detached")

    page.set_viewport_size({"width": 220, "height": 600})
    page.reload()
    page.locator(".log-row").nth(5).wait_for()


@pytest.mark.parametrize("line", [299, 1999])
def test_moved_in_the_document_it_shows_what_it_showed(page: Page, server: LogServer, line: int) -> None:
    """A drawing moves cards when their order changes, and browsers scroll what is moved to its beginning."""
    server.log.content = numbered(2000).encode()
    log = LogPage(page, server)
    log.wait_for("20:00:00 line 1999 ")
    log.scroll_to(line * 18)
    before = log.rows_in_sight()

    page.evaluate(
        "{ const place = view.element.parentNode; view.element.remove(); place.append(view.element); }"
    )

    log.wait_for(before[0])
    assert log.rows_in_sight() == before


def test_another_log_in_its_place_is_shown_from_its_beginning(page: Page, server: LogServer) -> None:
    server.log.content = numbered(300).encode()
    log = LogPage(page, server)
    log.wait_for("20:00:00 line 299 ")
    wait_until_followed(server, page)

    server.begin("the next build\n")

    log.wait_for("the next build")
    assert log.rows_in_sight() == ["the next build"]


def test_the_logs_of_the_builds_before_are_a_choice_away(page: Page, server: LogServer) -> None:
    server.log.content = b"20:00:00 the newest build\n"
    before = WrittenLog()
    before.name, before.content = "log-0", b"20:00:00 the build before\n"
    server.earlier = [before]
    log = LogPage(page, server)
    log.wait_for("20:00:00 the newest build")

    builds = page.get_by_role("combobox", name="Which build")
    builds.select_option("The one before")
    log.wait_for("20:00:00 the build before")
    builds.select_option("Two before")
    page.get_by_text("There is no log of that build.").wait_for()
    assert log.rows_in_sight() == []
    builds.select_option("Newest build")

    log.wait_for("20:00:00 the newest build")
    wait_until_followed(server, page)
    server.write("20:00:01 goes on\n")
    log.wait_for("20:00:01 goes on")


def test_a_lost_connection_costs_no_lines(page: Page, server: LogServer) -> None:
    server.log.content = numbered(10).encode()
    log = LogPage(page, server)
    log.wait_for("20:00:00 line 9 ")
    wait_until_followed(server, page)

    server.disconnect()
    server.write(numbered(5, first=10))

    log.wait_for("20:00:00 line 14 ")
    assert page.get_by_text("15 lines").count() == 1
    assert log.rows_in_sight()[-3:] == numbered(3, first=12).splitlines()


def test_out_of_sight_it_asks_nothing_and_follows_again_in_sight(page: Page, server: LogServer) -> None:
    server.log.content = numbered(10).encode()
    log = LogPage(page, server)
    log.wait_for("20:00:00 line 9 ")
    wait_until_followed(server, page)

    page.evaluate("view.element.style.display = 'none'")
    wait_until(page, lambda: not server.is_followed)
    asked = len(server.asked)
    server.write(numbered(5, first=10))
    page.evaluate("view.element.style.display = ''")

    log.wait_for("20:00:00 line 14 ")
    assert server.asked[asked].startswith("POST")


def test_a_refusal_is_shown_in_the_servers_words_and_can_be_tried_again(
    page: Page, server: LogServer
) -> None:
    server.refusal = (404, "unknown_site", "There is no <b>isolated</b> directory.", "Look at the list.")
    log = LogPage(page, server)
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert "There is no <b>isolated</b> directory. Look at the list." in alert.inner_text()

    server.refusal = None
    server.log.content = b"here it is\n"
    log.button("Try again").click()

    log.wait_for("here it is")


def test_a_log_that_is_not_there_yet_appears(page: Page, server: LogServer) -> None:
    server.refusal = (404, "no_log", "Nothing was written yet.", "")
    log = LogPage(page, server)
    page.get_by_text("There is no log yet.").wait_for()

    server.refusal = None
    server.log.content = b"now\n"

    log.wait_for("now")


def test_disposed_of_it_leaves_nothing_behind(page: Page, server: LogServer) -> None:
    server.log.content = numbered(10).encode()
    log = LogPage(page, server)
    log.wait_for("20:00:00 line 9 ")
    wait_until_followed(server, page)

    page.evaluate("view.dispose(); view.element.remove();")

    wait_until(page, lambda: not server.is_followed)
    assert server.asked[-1].startswith("DELETE")


def wait_until_followed(server: LogServer, page: Page) -> None:
    wait_until(page, lambda: server.is_followed)


def wait_until(page: Page, condition: Callable[[], bool]) -> None:
    """The server's side of something: the page goes on meanwhile."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        page.evaluate(FRAMES, 1)
