"""``nox -s screenshots``: take all pictures of the panel anew. Look at each of them before committing it."""

from __future__ import annotations

import argparse
import logging
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, expect

from demo.run import DEMO_PACKS, load_workflow
from host.base import PACKS, REPOSITORY, make_base
from host.browser import find_browser, launch, load_page
from host.installation import prepare, prepare_front_end
from host.server import ComfyUI
from panel.driver import Driver
from screenshots.picture import take

FRONT_END = "1.58.1"
#: In CSS pixels; the pictures have half as many again in each direction.
SIZE = {"width": 960, "height": 720}
SCALE = 1.5
QUIET = {
    # The page's own hints about models and missing nodes are not what is shown.
    "Comfy.RightSidePanel.ShowErrorsTab": False,
    "Comfy.Workflow.ShowMissingModelsWarning": False,
    "Comfy.Minimap.Visible": False,
    "Comfy.Graph.CanvasInfo": False,
}
READY, BUILT_SECOND, BUILT_LAST, BROKEN = "geometry", "legacy-numpy", "modern-numpy", "broken"
SAMPLES = 12
#: Its path is in the pictures.
ROOT = Path(tempfile.gettempdir()) / "me"
#: Nodes of three packs, near enough for their badges to be read.
CANVAS = """() => {
    app.graph.clear();
    const place = (type, x, y, values = {}) => {
        const node = LiteGraph.createNode(type);
        node.pos = [x, y];
        app.graph.add(node);
        for (const widget of node.widgets ?? []) if (widget.name in values) widget.value = values[widget.name];
        return node;
    };
    const texture = place("LegacyInterferenceTexture", 60, 90, { width: 256, height: 160, seed: 11 });
    const colours = place("ModernGradientMap", 420, 90, { palette: "dusk" });
    place("GeometrySweepKnot", 60, 390);
    const preview = place("PreviewImage", 420, 300);
    preview.size = [260, 240];
    texture.connect(0, colours, 0);
    colours.connect(0, preview, 0);
    app.canvas.ds.offset = [70, 50];
    app.canvas.ds.scale = 1;
    app.canvas.setDirty(true, true);
}"""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="nox -s screenshots --", description=__doc__)
    parser.add_argument("--directory", type=Path, default=REPOSITORY / "docs" / "images")
    directory = parser.parse_args(arguments).directory
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    executable = find_browser()
    if executable is None:
        print("No chromium on PATH and none in COMFY_ENV_TESTS_BROWSER.")
        return 1
    if not has_chinese_font():
        print("No font with Chinese characters: one picture would show boxes. Debian has fonts-wqy-zenhei.")
        return 1
    ROOT.mkdir()  # an error if it is there: it is deleted in the end
    try:
        installation = prepare()
        base = make_base(ROOT / "ComfyUI", [PACKS / name for name in DEMO_PACKS])
        with ComfyUI(installation, ROOT / "comfyui.log") as comfyui, launch(executable) as browser:
            comfyui.start(
                base,
                environment={"COMFY_ENV_ROOT": str(ROOT / ".ce"), "COMFY_ENV_BUILD": "off"},
                arguments=["--front-end-root", str(prepare_front_end(FRONT_END, installation))],
            )
            Session(browser, comfyui, directory).take_all()
            comfyui.kill()
    finally:
        shutil.rmtree(ROOT, ignore_errors=True)
    return 0


def has_chinese_font() -> bool:
    """Also where nobody can tell: not every system has fontconfig's commands."""
    command = shutil.which("fc-list")
    return command is None or bool(
        subprocess.run([command, ":lang=zh"], check=True, capture_output=True).stdout
    )


class Session:
    """One visit, in the order in which a user meets these states."""

    def __init__(self, browser: Browser, comfyui: ComfyUI, directory: Path) -> None:
        self._browser = browser
        self._comfyui = comfyui
        self._directory = directory
        comfyui.post("/api/settings", QUIET)
        page = load_page(browser, comfyui, viewport=SIZE, device_scale_factor=SCALE)
        self._page = page
        self._panel = Driver(page, comfyui)

    def take_all(self) -> None:
        self._panel.page.evaluate("() => app.graph.clear()")
        self._panel.open_tab()
        self._building()
        self._packs()
        self._failed()
        self._workers()
        self._disk()
        self._settings()
        self._light()
        self._chinese()
        self._page_of_its_own()
        self._canvas()

    def _building(self) -> None:
        """Once something is installed there is a bar to show and a log to read."""
        self._build(READY)
        article = self._panel.open_pack(READY)
        self._panel.log_of(READY)
        expect(article.locator("[role=progressbar][aria-valuenow]:not([aria-valuenow='0'])")).to_be_visible()
        self._take("panel-building")
        expect(article).to_contain_text("Ready")

    def _packs(self) -> None:
        """Two that are ready, one that is being built, one that nobody built yet."""
        self._build(BUILT_SECOND)
        expect(self._panel.card(BUILT_SECOND)).to_contain_text("Ready")
        self._dismiss_messages()
        self._build(BUILT_LAST)
        bar = self._panel.card(BUILT_LAST).locator(
            "[role=progressbar][aria-valuenow]:not([aria-valuenow='0'])"
        )
        expect(bar).to_be_visible()
        self._take("panel-packs")
        expect(self._panel.card(BUILT_LAST)).to_contain_text("Ready")

    def _failed(self) -> None:
        self._build(BROKEN)
        expect(self._panel.card(BROKEN)).to_contain_text("Failed")
        self._dismiss_messages()
        self._panel.open_pack(BROKEN)
        self._take("panel-failed")

    def _canvas(self) -> None:
        self._panel.close_tab()
        self._page.evaluate(CANVAS)
        assert self._panel.run()["status"]["status_str"] == "success"
        self._page.wait_for_function("() => app.graph.nodes.some((node) => node.imgs?.length)")
        expect(self._page.get_by_text("Job queued")).to_have_count(0, timeout=30_000)
        self._take("node-badges")

    def _workers(self) -> None:
        """While the demo's workflow runs, and some seconds before and after it."""
        self._panel.section("Workers")
        self._wait_for_samples(SAMPLES // 2)
        self._comfyui.queue(load_workflow())
        self._wait_for_samples(SAMPLES)
        self._take("panel-workers")

    def _wait_for_samples(self, count: int) -> None:
        self._page.evaluate(
            """async (count) => {
                const { session } = await import("/comfy-env/web/comfyui/session.js");
                await new Promise((resolve) => {
                    const off = session.model.subscribe(({ samples }) => {
                        if ([...samples.values()].some((of) => of.length >= count)) resolve(off());
                    });
                });
            }""",
            count,
        )

    def _disk(self) -> None:
        disk = self._panel.section("Disk")
        self._panel.wait_until_calm()
        expect(disk.get_by_role("img").first).to_be_visible()
        self._take("panel-disk")

    def _settings(self) -> None:
        self._panel.section("Settings")
        self._panel.wait_until_calm()
        self._take("panel-settings")

    def _light(self) -> None:
        self._panel.set("Comfy.ColorPalette", "light")
        self._panel.open_pack(BUILT_SECOND)
        self._take("panel-light")
        self._panel.set("Comfy.ColorPalette", "dark")

    def _chinese(self) -> None:
        self._panel.section("Packs")
        self._panel.close_tab()
        self._panel.set("Comfy.Locale", "zh")
        self._panel.tab_button.click()
        expect(self._panel.root.get_by_role("tab", name="节点包")).to_be_visible()
        self._take("panel-chinese")
        self._panel.set("Comfy.Locale", "en")

    def _page_of_its_own(self) -> None:
        page = self._browser.new_page(viewport=SIZE, device_scale_factor=SCALE, color_scheme="dark")
        page.goto(f"{self._comfyui.url}/comfy-env/")
        page.get_by_role("button", name=READY, exact=True).click()
        expect(page.get_by_role("article", name=READY)).to_be_visible()
        take(page, self._directory / "page.png")
        page.close()

    def _build(self, pack: str) -> None:
        self._panel.section("Packs")
        back = self._panel.root.get_by_role("button", name="Back to all packs")
        if back.is_visible():
            back.click()
        self._panel.card(pack).get_by_role("button", name="Build").click()

    def _dismiss_messages(self) -> None:
        expect(self._panel.messages()).to_have_count(0, timeout=30_000)

    def _take(self, name: str) -> None:
        take(self._page, self._directory / f"{name}.png")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
