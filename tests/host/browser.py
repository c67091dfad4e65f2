"""ComfyUI's page in a real browser: Debian's chromium (or any on PATH), driven by playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from patience import PATIENCE_S

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from host.server import ComfyUI

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET_FIRST_RUN = {"Comfy.TutorialCompleted": True}
"""Without it the first visit is blocked by a dialog of example workflows."""
WIDTH_PX, HEIGHT_PX = 1400, 900
LOAD_TIMEOUT_MS = 90_000


def find_browser() -> str | None:
    """The browser's path: ``COMFY_ENV_TESTS_BROWSER`` or the first on PATH."""
    return os.environ.get("COMFY_ENV_TESTS_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def launch(executable: str) -> Iterator[Browser]:
    """A browser without a window. While it is there, its thread can run no asyncio loop of its own."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=1000 * PATIENCE_S)
    with sync_playwright() as playwright:
        # Without a sandbox: the tests may run as root, where chromium refuses to start one; the page is our own.
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def load_page(browser: Browser, comfyui: ComfyUI, **options: object) -> Page:
    """ComfyUI's page, loaded, with its extensions set up and a graph on the canvas.

    It has storage and cookies of its own, as another user's browser has. `options`: playwright's, of a page.
    """
    comfyui.post("/api/settings", QUIET_FIRST_RUN)
    page = browser.new_page(**{"viewport": {"width": WIDTH_PX, "height": HEIGHT_PX}, **options})  # type: ignore[arg-type]
    page.add_init_script("localStorage.vueNodesBannerDismissed = 'true'")
    page.goto(comfyui.url)
    wait_until_loaded(page)
    return page


def wait_until_loaded(page: Page) -> None:
    """Also after a reload."""
    loaded = "window.app?.extensionManager && window.app.rootGraph && document.querySelector('canvas')"
    page.wait_for_function(loaded, timeout=LOAD_TIMEOUT_MS)
    page.wait_for_function("window.app.rootGraph.nodes.length > 0", timeout=LOAD_TIMEOUT_MS)


@contextmanager
def open_page(comfyui: ComfyUI, executable: str) -> Iterator[Page]:
    """One page in a browser of its own."""
    with launch(executable) as browser:
        yield load_page(browser, comfyui)
