"""Fixtures for every test that runs a real ComfyUI. ``tests/conftest.py`` makes pytest know them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.run import DEMO_PACKS
from host.base import Place, make_place
from host.browser import find_browser
from host.installation import Installation, prepare
from host.server import ComfyUI

StartComfyUI = Callable[..., ComfyUI]
"""Called as ``start(base_directory, environment={}, arguments=[])``: a running server that the fixture stops."""


@pytest.fixture(scope="session")
def installation() -> Installation:
    """A real ComfyUI on disk, got if the cache lacks it."""
    return prepare()


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The example packs and us; what one test's server built is there for the next one's."""
    return make_place(tmp_path_factory.mktemp("e2e"), DEMO_PACKS)


@pytest.fixture(scope="module")
def start_comfyui(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartComfyUI]:
    """Starts servers and ends them after the module's tests; their logs are kept beside each other."""
    running: list[ComfyUI] = []
    logs = tmp_path_factory.mktemp("comfyui-logs")

    def start(base_directory: Path, **options: object) -> ComfyUI:
        comfyui = ComfyUI(installation, logs / f"comfyui-{len(running)}.log")
        running.append(comfyui)
        return comfyui.start(base_directory, **options)  # type: ignore[arg-type]

    yield start
    for comfyui in running:
        comfyui.stop()


@pytest.fixture(scope="session")
def browser_path() -> str:
    """A browser's executable; without one the test is skipped, and says so."""
    found = find_browser()
    if found is None:
        pytest.skip("no chromium on PATH and none in COMFY_ENV_TESTS_BROWSER: the page was NOT tested")
    return found
