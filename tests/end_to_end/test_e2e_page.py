"""An artist's view: a workflow whose nodes are still being built is open in the browser, and heals without a reload."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from comfy_env_core.environments.locks import ProcessLock, build_lock
from comfy_env_core.environments.store import Store
from host.base import Place, make_place
from host.browser import open_page
from host.fixtures import StartComfyUI
from host.server import ComfyUI

NODE = "LegacyInterferenceTexture"
WORKFLOW = {
    "last_node_id": 2,
    "last_link_id": 1,
    "nodes": [
        {
            "id": 1,
            "type": NODE,
            "pos": [120, 120],
            "size": [300, 180],
            "flags": {},
            "order": 0,
            "mode": 0,
            "inputs": [],
            "outputs": [
                {"name": "image", "type": "IMAGE", "links": [1]},
                {"name": "ran_in", "type": "STRING", "links": None},
            ],
            "properties": {},
            "widgets_values": [96, 64, 3, 0.2, 7, "fixed"],
        },
        {
            "id": 2,
            "type": "PreviewImage",
            "pos": [520, 120],
            "size": [300, 260],
            "flags": {},
            "order": 1,
            "mode": 0,
            "inputs": [{"name": "images", "type": "IMAGE", "link": 1}],
            "outputs": [],
            "properties": {},
        },
    ],
    "links": [[1, 1, 0, 2, 0, "IMAGE"]],
    "groups": [],
    "config": {},
    "extra": {},
    "version": 0.4,
}
QUIET = "{showMissingNodesDialog: false, showMissingModelsDialog: false}"
FIND = "() => app.rootGraph.nodes.find((node) => node.type === 'LegacyInterferenceTexture')"
IS_RED = f"() => Boolean(({FIND})().has_errors)"
IS_HEALED = (
    f"() => {{ const node = ({FIND})(); return node && !node.has_errors && node.widgets?.length > 0; }}"
)
WIDGETS = f"() => ({FIND})().widgets.slice(0, 4).map((widget) => [widget.name, widget.value])"


@pytest.fixture
def held_back(comfyui: ComfyUI, tmp_path: Path) -> Iterator[tuple[Place, ProcessLock]]:
    """A place whose one environment waits until the test lets go: we own its build lock, as another builder would.

    The same file gives the same environment id, so the id is known from the place where it is already built.
    """
    place = make_place(tmp_path, ["legacy-numpy"])
    lock = build_lock(Store(place.store), comfyui.sites()["legacy-numpy"]["environment_id"])
    assert lock.try_acquire()
    yield place, lock
    lock.release()


def test_a_placeholder_heals_when_its_environment_is_built(
    held_back: tuple[Place, ProcessLock], start_comfyui: StartComfyUI, browser_path: str, tmp_path: Path
) -> None:
    place, lock = held_back
    server = start_comfyui(place.base, environment=place.environment)
    with open_page(server, browser_path) as page:
        page.evaluate(f"(graph) => app.loadGraphData(graph, true, true, null, {QUIET})", WORKFLOW)
        assert page.evaluate(IS_RED)
        page.screenshot(path=tmp_path / "placeholder.png")

        lock.release()

        page.wait_for_function(IS_HEALED, timeout=240_000)
        assert page.evaluate(WIDGETS) == [["width", 96], ["height", 64], ["sources", 3], ["wavelength", 0.2]]
        page.evaluate("async () => { await app.queuePrompt(0); }")
        server.wait_until(lambda: bool(server.get("/history")), 60, "the healed workflow to run")
        page.screenshot(path=tmp_path / "healed.png")
    entry = next(iter(server.get("/history").values()))
    assert entry["status"]["status_str"] == "success", entry["status"]
