"""One server per front end for all tests, and one browser. What a test holds back, it lets go."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from patience import PATIENCE_S
from playwright.sync_api import Browser

from host.base import Place
from host.browser import launch, load_page
from host.installation import Installation, prepare_front_end
from host.server import ComfyUI
from panel.driver import Driver
from panel.gated_index import GatedIndex, serving_gated_index
from panel.stage import set_up

HERE = Path(__file__).parent
#: The first one is that of the short part.
FRONT_ENDS = ("1.58.1", "1.32.9")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.effort != "short":
        return
    left_out = [item for item in items if HERE in item.path.parents and not item.get_closest_marker("short")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Of a test that failed, a picture of its page and the end of the server's log."""
    report = yield
    panel = getattr(item, "funcargs", {}).get("shared_page")
    if report.failed and isinstance(panel, Driver):
        picture = Path(tempfile.mkdtemp(prefix="panel-failed-")) / f"{item.name}.png"
        panel.page.screenshot(path=picture)
        report.sections.append(("picture of the page", str(picture)))
        report.sections.append(("ComfyUI", panel.comfyui.log_tail(30)))
    return report


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "front_end" in metafunc.fixturenames:
        chosen = FRONT_ENDS[:1] if metafunc.config.option.effort == "short" else FRONT_ENDS
        metafunc.parametrize("front_end", chosen, scope="package")


@pytest.fixture(scope="package")
def index() -> Iterator[GatedIndex]:
    with serving_gated_index() as index:
        yield index


@pytest.fixture(scope="package")
def stage(front_end: str, index: GatedIndex, place: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """In the store that all tests share: the engine's own packages are got once."""
    return set_up(tmp_path_factory.mktemp("panel"), place.store, index.url, front_end)


@pytest.fixture(scope="package")
def front_end_arguments(front_end: str, installation: Installation) -> list[str]:
    return ["--front-end-root", str(prepare_front_end(front_end, installation))]


@pytest.fixture(scope="package")
def comfyui(
    installation: Installation,
    stage: Place,
    front_end_arguments: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ComfyUI]:
    """Killed in the end: how ComfyUI stops while pages are open is not what is tested here."""
    comfyui = ComfyUI(installation, tmp_path_factory.mktemp("panel-logs") / "comfyui.log")
    comfyui.start(stage.base, environment=stage.environment, arguments=front_end_arguments)
    yield comfyui
    for child in comfyui.kill():
        child.wait(PATIENCE_S)


@pytest.fixture(scope="package")
def browser(browser_path: str) -> Iterator[Browser]:
    with launch(browser_path) as browser:
        yield browser


@pytest.fixture(scope="package")
def shared_page(browser: Browser, comfyui: ComfyUI) -> Iterator[Driver]:
    page = load_page(browser, comfyui)
    yield Driver(page, comfyui)
    page.close()


@pytest.fixture
def panel(shared_page: Driver, index: GatedIndex) -> Iterator[Driver]:
    """The page that most tests share, with our tab open at the packs and nothing under way."""
    shared_page.open_tab()
    shared_page.section("Packs")
    yield shared_page
    index.open_all()
    shared_page.cancel_all()
