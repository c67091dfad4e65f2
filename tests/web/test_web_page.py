"""The panel as a page of its own, in a real browser over the real API: what an artist sees and presses."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from javascript import packages
from patience import PATIENCE_S, eventually

pytest.importorskip("aiohttp", reason="aiohttp comes with ComfyUI; without it there are no routes to test")
pytest.importorskip("playwright", reason="playwright drives the browser")

from api.stage import NODE, Stage
from playwright.sync_api import expect

from comfy_env_core.api.backend import HostFacts
from comfy_env_core.building.errors import BuildCause, BuildError
from host.browser import launch

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route

#: It runs if a text of ours is taken for markup anywhere.
ATTACK = "<img src=x onerror=document.title='hacked'>"
WIDTHS_PX = (135, 200, 312, 1400)
SCHEMES: tuple[Literal["dark", "light"], ...] = ("dark", "light")

OpenPage = Callable[..., "Page"]


def settle(stage: Stage, **states: str) -> None:
    """Waits until these packs are in these states."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        now = {site["pack"]: site["state"] for site in stage.get("/status")["sites"]}
        if all(now.get(pack.replace("_", "-")) == state for pack, state in states.items()):
            return
        assert time.monotonic() < deadline, f"the packs are {now}, not {states}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One pack that works, one that fails, one whose file is mistaken, and one with evil texts everywhere."""
    with Stage(tmp_path_factory.mktemp("panel")) as made:
        made.add_pack("mesh-tools", "# ours\n")
        made.add_pack("other-meshes", "# ours\n")
        made.add_pack("no-wheel", '[pypi-dependencies]\ngone = "*"\n')
        tail = ("ERROR: Could not find a version of gone",)
        failure = BuildError(BuildCause.NO_MATCHING_WHEEL, "There is no wheel of 'gone'.", tail=tail)
        made.add_course("no-wheel", failure=failure)
        made.add_pack("mistaken", "# three\n# lines\npython = 3.10\n")
        made.add_pack(ATTACK, f'# {ATTACK}\n[pypi-dependencies]\nevil = "*"\n')
        evil = BuildError(BuildCause.INTERNAL, f"It failed: {ATTACK}", f"Do {ATTACK}", tail=(ATTACK,))
        made.add_course(ATTACK, failure=evil)
        made.open()
        settle(made, mesh_tools="ready", no_wheel="failed", mistaken="failed", **{ATTACK: "failed"})
        yield made


@pytest.fixture(scope="module")
def browser(browser_path: str) -> Iterator[Browser]:
    with launch(browser_path) as launched:
        yield launched


@pytest.fixture(scope="module")
def contexts(browser: Browser) -> Iterator[Callable[[str], BrowserContext]]:
    """Called with a language: what pages in that language share, above all the files they know already."""
    made: dict[str, BrowserContext] = {}

    def context_for(locale: str) -> BrowserContext:
        if locale not in made:
            made[locale] = browser.new_context(
                locale=locale, color_scheme="dark", permissions=["clipboard-write"]
            )
        return made[locale]

    yield context_for
    for context in made.values():
        context.close()


@pytest.fixture
def open_page(contexts: Callable[[str], BrowserContext], stage: Stage) -> Iterator[OpenPage]:
    """Called as `open_page(on=stage, width=312, locale="en-GB")`: the panel, just asked for."""
    pages: list[Page] = []
    errors: list[str] = []

    def open_(on: Stage = stage, width: int = 312, locale: str = "en-GB") -> Page:
        page = contexts(locale).new_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": 900})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{on.url}/comfy-env/")
        return page

    yield open_
    for page in pages:
        page.close()
    assert errors == [], "the page threw"


def card(page: Page, pack: str) -> Locator:
    return page.locator(f'.card[data-pack="{pack}"]')


def opened(page: Page, pack: str) -> Locator:
    card(page, pack).get_by_role("button", name=pack, exact=True).click()
    return page.get_by_role("article", name=pack)


def test_what_needs_somebody_comes_first_with_cause_remedy_and_buttons(open_page: OpenPage) -> None:
    page = open_page()
    expect(page.locator(".group h2")).to_have_text(["Needs you", "Ready"])
    expect(page.locator(".header")).to_contain_text("2 of 5 packs ready. 3 need you.")
    failed = card(page, "no-wheel")
    expect(failed).to_contain_text("There is no wheel of 'gone'.")
    expect(failed).to_contain_text("Ask for another version of it")
    expect(failed.get_by_role("button")).to_have_text(["no-wheel", "Show file", "Build again", "Show log"])
    expect(card(page, "mesh-tools")).to_contain_text(re.compile(r"Ready.*1 node.*Python 3\.\d+", re.DOTALL))


def test_a_mistake_is_shown_at_its_line(open_page: OpenPage) -> None:
    page = open_page()
    card(page, "mistaken").get_by_role("button", name="Show file").click()
    line = page.locator(".line.is-failed")
    expect(line).to_have_text("3python = 3.10")
    expect(line.locator("+ .note")).to_contain_text('Write python = "3.10"')


def test_a_rebuild_is_followed_from_its_click_to_its_end(open_page: OpenPage, stage: Stage) -> None:
    gate = threading.Event()
    for name in ("mesh-tools", "other-meshes"):
        stage.add_course(name, packages=8, gate=gate)
    page = open_page()
    pack = opened(page, "mesh-tools")
    before = int(pack.locator("dd").nth(-2).inner_text())
    pack.get_by_role("button", name="Rebuild").click()
    expect(pack.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")
    expect(pack.locator(".progress")).to_contain_text("8 of 8 packages")
    pack.get_by_role("button", name="Log of the build").click()
    expect(pack.get_by_text("resolving: resolving")).to_be_visible()
    gate.set()
    expect(pack.locator(".pack-head .state")).to_have_text("Ready")
    expect(pack.locator("dd").nth(-2)).to_have_text(str(before + 1))
    expect(pack.get_by_role("button", name="Roll back")).to_be_enabled()
    expect(page.locator(".unseen p", has_text="mesh-tools: Ready.")).to_be_attached()


def test_a_build_is_cancelled_by_its_button(open_page: OpenPage, stage: Stage) -> None:
    stage.engine.courses["no-wheel"].gate = threading.Event()
    page = open_page()
    failed = card(page, "no-wheel")
    failed.get_by_role("button", name="Build again").click()
    failed.get_by_role("button", name="Cancel").click()
    expect(failed.locator(".state")).to_have_text("Not built")
    stage.engine.courses["no-wheel"].gate = None
    failed.get_by_role("button", name="Build: no-wheel").click()
    expect(failed.locator(".state")).to_have_text("Failed")


def test_nothing_is_deleted_before_somebody_says_yes(open_page: OpenPage, stage: Stage) -> None:
    page = open_page()
    pack = opened(page, "mesh-tools")
    pack.get_by_role("button", name="Delete").click()
    question = page.get_by_role("dialog")
    expect(question).to_contain_text("mesh-tools, other-meshes")
    page.keyboard.press("Escape")
    expect(question).to_have_count(0)
    expect(pack.get_by_role("button", name="Delete")).to_be_focused()
    assert card_state(stage, "mesh-tools") == "ready"


def card_state(stage: Stage, pack: str) -> str:
    return str(next(site["state"] for site in stage.get("/status")["sites"] if site["pack"] == pack))


def test_the_words_of_a_refusal_are_shown(open_page: OpenPage) -> None:
    page = open_page()
    refusal = '{"error": {"code": "busy", "message": "A node runs in it.", "remedy": "Wait for it."}}'
    page.route(
        "**/rebuild", lambda route: route.fulfill(status=409, content_type="application/json", body=refusal)
    )
    pack = opened(page, "mesh-tools")
    pack.get_by_role("button", name="Rebuild").click()
    expect(page.get_by_role("alert")).to_contain_text("A node runs in it. Wait for it.")
    page.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_role("alert")).to_be_empty()


def test_everything_can_be_reached_without_a_mouse(open_page: OpenPage) -> None:
    page = open_page()
    tab = page.get_by_role("tab", name="Packs")
    tab.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Workers")).to_be_focused()
    expect(page.get_by_role("tab", name="Workers")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Home")
    expect(tab).to_be_focused()
    page.keyboard.press("Tab")
    first = page.locator(".card-name").first
    expect(first).to_be_focused()
    name = first.inner_text()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=name, level=2)).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(first).to_be_focused()
    assert len(page.locator("[role=tab][tabindex='0']").all()) == 1


def test_texts_of_packs_and_builds_are_never_markup(open_page: OpenPage) -> None:
    page = open_page()
    expect(card(page, ATTACK)).to_contain_text(f"It failed: {ATTACK}")
    card(page, ATTACK).get_by_role("button", name="Show log").click()
    expect(page.get_by_role("article", name=ATTACK)).to_be_visible()
    expect(page.locator("[data-part=log]")).to_contain_text(ATTACK)
    page.get_by_role("button", name="comfy-env.toml").click()
    expect(page.locator(".listing")).to_contain_text(ATTACK)
    assert (
        page.evaluate("document.querySelector('comfy-env-panel').shadowRoot.querySelectorAll('img').length")
        == 0
    )
    assert page.title() == "comfy-env manager"


def test_axe_finds_nothing_serious(open_page: OpenPage) -> None:
    axe = (packages() / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    page = open_page(width=1400)
    expect(card(page, "no-wheel")).to_be_visible()
    page.evaluate(axe)
    assert_accessible(page, "the list")
    opened(page, "no-wheel")
    page.get_by_role("button", name="Log of the build").click()
    page.get_by_role("button", name="comfy-env.toml").click()
    expect(page.locator(".listing")).to_be_visible()
    expect(page.get_by_role("searchbox", name="Search the log")).to_be_visible()
    assert_accessible(page, "an opened pack that failed")
    opened(page, "mesh-tools").get_by_role("button", name="Packages").click()
    assert_accessible(page, "an opened pack that works")
    page.get_by_role("button", name="Delete").click()
    assert_accessible(page, "a question")


def assert_accessible(page: Page, what: str) -> None:
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        found = page.evaluate("axe.run(document).then(({ violations }) => violations)")
        serious = [
            f"{one['id']}: {one['help']}: {[node['html'] for node in one['nodes'][:3]]}"
            for one in found
            if one["impact"] in ("serious", "critical") or one["id"] == "heading-order"
        ]
        assert serious == [], f"{what}, {scheme}"


def test_nothing_has_to_be_scrolled_sideways(open_page: OpenPage) -> None:
    page = open_page()
    expect(card(page, "no-wheel")).to_be_visible()
    assert_fits(page)
    opened(page, "no-wheel")
    page.get_by_role("button", name="comfy-env.toml").click()
    page.get_by_role("button", name="Log of the build").click()
    expect(page.get_by_role("searchbox", name="Search the log")).to_be_visible()
    assert_fits(page)
    for section in ("Workers", "Disk", "Settings", "Help"):
        page.get_by_role("tab", name=section).click()
        expect(page.get_by_role("tabpanel", name=section)).to_be_visible()
        assert_fits(page)


def assert_fits(page: Page) -> None:
    for width in WIDTHS_PX:
        page.set_viewport_size({"width": width, "height": 900})
        # A log wraps its lines anew in the frame after that.
        if not eventually(lambda: page.evaluate("document.documentElement.scrollWidth") <= width):  # noqa: B023
            wide = page.evaluate(
                """() => [...document.querySelector("comfy-env-panel").shadowRoot.querySelectorAll("*")]
                    .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
                    .map((one) => one.outerHTML.slice(0, 120))"""
            )
            pytest.fail(f"wider than {width} px: {wide}")


def test_it_speaks_chinese_to_who_reads_chinese(open_page: OpenPage) -> None:
    page = open_page(locale="zh-CN")
    expect(page.get_by_role("tab")).to_have_text(["节点包", "进程", "磁盘", "设置", "帮助"])
    expect(card(page, "mesh-tools").locator(".state")).to_have_text("就绪")
    assert page.evaluate("document.documentElement.lang") == "zh"


def test_a_reload_shows_again_what_was_opened(open_page: OpenPage) -> None:
    page = open_page()
    opened(page, "no-wheel")
    page.reload()
    expect(page.get_by_role("article", name="no-wheel")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("article")).to_have_count(0)


def test_after_a_restart_of_the_server_it_shows_what_is_there_now(
    open_page: OpenPage, tmp_path: Path
) -> None:
    with Stage(tmp_path) as first:
        first.add_pack("before")
        first.open()
        settle(first, before="ready")
        page = open_page(on=first)
        expect(card(page, "before")).to_be_visible()
        port = int(first.url.rpartition(":")[2])
    expect(page.get_by_text("The connection to ComfyUI is lost.").first).to_be_visible()
    expect(card(page, "before")).to_be_visible()
    with Stage(tmp_path, port=port) as second:
        second.add_pack("after")
        second.open()
        expect(card(page, "after").locator(".state")).to_have_text("Ready")
        expect(page.locator(".note", has_text="is lost")).to_have_count(0)


def test_who_may_only_look_is_told_why(open_page: OpenPage, tmp_path: Path) -> None:
    with Stage(tmp_path, facts=HostFacts(listens_remotely=True)) as remote:
        remote.add_pack("mesh-tools")
        remote.open()
        settle(remote, mesh_tools="ready")
        page = open_page(on=remote)
        why = remote.get("/status")["policy"]["why_not"]
        expect(page.locator(".note.is-info")).to_have_text(why)
        rebuild = opened(page, "mesh-tools").get_by_role("button", name="Rebuild")
        expect(rebuild).to_be_disabled()
        expect(rebuild).to_have_attribute("title", why)


def test_without_packs_it_teaches_how_to_make_one(open_page: OpenPage, tmp_path: Path) -> None:
    with Stage(tmp_path) as empty:
        empty.open()
        page = open_page(on=empty)
        expect(page.get_by_role("heading", name="Nothing to isolate yet")).to_be_visible()
        example = page.locator(".copyable code").inner_text()
    with Stage(tmp_path) as taught:
        taught.add_pack("by-the-example", example)
        taught.open()
        settle(taught, by_the_example="ready")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("crowd")) as made:
        made.add_ready_packs(12)
        made.add_pack("old.disabled")
        files = {
            "__init__.py": NODE,
            "comfy-env-root.toml": '[node_reqs]\n"other-pack" = "https://example.org/other"\n',
        }
        made.add_pack("needy", files=files)
        made.open()
        settle(made, needy="ready")
        yield made


def test_one_of_many_packs_is_found_by_typing(open_page: OpenPage, crowd: Stage) -> None:
    page = open_page(on=crowd)
    expect(page.locator(".card")).to_have_count(13)
    page.get_by_role("searchbox").fill("ready -01")
    expect(page.locator(".card-name")).to_have_text(["pack-010", "pack-011"])
    page.get_by_role("searchbox").fill("nothing")
    expect(page.get_by_text("Nothing matches “nothing”.")).to_be_visible()


def test_what_packs_miss_on_this_computer_is_said_with_the_command(open_page: OpenPage, crowd: Stage) -> None:
    page = open_page(on=crowd)
    needs = page.locator(".prerequisites .note")
    expect(needs).to_contain_text(re.compile("needy.*Other packs: other-pack", re.DOTALL))
    expect(needs.locator("code")).to_contain_text("node-packs needy")
    needs.get_by_role("button").click()
    expect(page.locator(".unseen p", has_text="Copied.")).to_be_attached()


def test_packs_that_were_passed_over_are_named_with_the_reason(open_page: OpenPage, crowd: Stage) -> None:
    page = open_page(on=crowd)
    page.get_by_role("button", name="Packs that were passed over").click()
    expect(page.locator(".notices li")).to_have_text("old.disabled its name ends in .disabled")


def test_nothing_waits_for_a_file_that_only_another_file_names(open_page: OpenPage, crowd: Stage) -> None:
    """How long all of it takes is measured by `nox -s bench -- panel_page`; this is what makes it quick."""
    page = open_page(on=crowd)
    expect(page.locator(".card").first).to_be_visible()
    before = page.evaluate(
        """() => {
            const [mark] = performance.getEntriesByName("comfy-env interactive");
            const all = performance.getEntriesByType("resource");
            const entries = all.filter((entry) => entry.startTime < mark.startTime);
            return entries.map((entry) => new URL(entry.name).pathname);
        }"""
    )
    named = re.findall(r'(?:href|src)="([^"]+)"', crowd.request("GET", "/comfy-env/").text)
    asked = {"status", "environments", "packs", "prerequisites"}
    begun = {path.removeprefix("/comfy-env/") for path in before if not path.endswith("/views/log.css")}
    assert begun <= {*named, *asked}


def test_the_server_is_asked_while_the_panel_is_still_on_its_way(open_page: OpenPage) -> None:
    page = open_page()
    held: list[Route] = []
    page.route("**/web-*/panel.js", lambda route: held.append(route))  # noqa: PLW0108 – playwright marks the function
    with page.expect_response("**/comfy-env/status"):
        page.reload(wait_until="commit")
    expect(page.locator("comfy-env-panel")).to_have_count(0)
    for route in held:
        route.continue_()
    expect(card(page, "mesh-tools")).to_be_visible()
