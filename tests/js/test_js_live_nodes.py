"""The page extension in a real browser on a real ComfyUI; only the build behind its event is played by a small pack."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from host.base import REPOSITORY, install_pack, make_base
from host.browser import open_page
from host.fixtures import StartComfyUI
from host.installation import Installation, prepare_front_end
from host.server import ComfyUI

WIDGET_VALUES = [41, "kept"]
NODE_ON_CANVAS = """(type) => {
    const graphs = [app.rootGraph, ...(app.rootGraph.subgraphs?.values() ?? [])];
    const node = graphs.flatMap((graph) => graph.nodes).find((node) => node.type === type);
    return node && {
        red: Boolean(node.has_errors),
        widgets: (node.widgets ?? []).map((widget) => [widget.name, widget.value]),
        links: node.outputs?.[0]?.links?.length ?? 0,
    };
}"""


@pytest.fixture(scope="module", params=["1.32.9", "1.58.1"])
def comfyui(
    request: pytest.FixtureRequest,
    installation: Installation,
    start_comfyui: StartComfyUI,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ComfyUI]:
    """A server with this page extension alone, once with the page of its own release and once with a much newer one.

    Killed in the end: after these pages Ctrl-C took up to 20 s, and how ComfyUI stops is not what is tested here.
    """
    base = make_base(tmp_path_factory.mktemp("page"), with_us=False)
    pack = install_pack(base, Path(__file__).with_name("late-nodes"))
    (pack / "js").mkdir()
    shutil.copy(REPOSITORY / "js" / "live-nodes.js", pack / "js")
    shutil.copytree(REPOSITORY / "web", pack / "web")
    front_end = prepare_front_end(request.param, installation)
    server = start_comfyui(base, arguments=["--front-end-root", str(front_end)])
    yield server
    server.kill()


@pytest.fixture(scope="module")
def browser_page(comfyui: ComfyUI, browser_path: str) -> Iterator[Page]:
    with open_page(comfyui, browser_path) as page:
        yield page


FRAMES = "async (count) => { while (count--) await new Promise((next) => requestAnimationFrame(next)); }"


def workflow_with(node_type: str) -> dict[str, Any]:
    """A saved workflow: one node of that type, linked to a core node, with values in its widgets."""
    outputs = [{"name": "INT", "type": "INT", "links": [1]}]
    late = {
        "id": 1,
        "type": node_type,
        "pos": [100, 100],
        "size": [220, 90],
        "flags": {},
        "order": 0,
        "mode": 0,
    }
    late |= {"inputs": [], "outputs": outputs, "properties": {}, "widgets_values": WIDGET_VALUES}
    shown = {
        "id": 2,
        "type": "PreviewAny",
        "pos": [450, 100],
        "size": [220, 90],
        "flags": {},
        "order": 1,
        "mode": 0,
    }
    shown |= {"inputs": [{"name": "source", "type": "*", "link": 1}], "outputs": [], "properties": {}}
    graph = {"last_node_id": 2, "last_link_id": 1, "nodes": [late, shown], "links": [[1, 1, 0, 2, 0, "INT"]]}
    return {**graph, "groups": [], "config": {}, "extra": {}, "version": 0.4}


def load(page: Page, node_type: str) -> None:
    quiet = "{showMissingNodesDialog: false, showMissingModelsDialog: false}"
    page.evaluate(f"(graph) => app.loadGraphData(graph, true, true, null, {quiet})", workflow_with(node_type))


def register(comfyui: ComfyUI, node_type: str, *, announce: bool = True, scripts: Sequence[str] = ()) -> None:
    comfyui.post("/late-nodes", {"nodes": [node_type], "announce": announce, "scripts": list(scripts)})


def wait_until_registered(page: Page, node_type: str) -> None:
    page.wait_for_function("(type) => type in LiteGraph.registered_node_types", arg=node_type, timeout=20_000)


def wait_until_real(page: Page, node_type: str) -> dict[str, Any]:
    healed = f"(type) => {{ const node = ({NODE_ON_CANVAS})(type); return node && !node.red && node.widgets.length; }}"
    page.wait_for_function(healed, arg=node_type, timeout=20_000)
    # A front end may mark nodes some frames after it has loaded them: look again when it has come to rest.
    page.evaluate(FRAMES, 10)
    page.wait_for_function(healed, arg=node_type, timeout=20_000)
    node: dict[str, Any] = page.evaluate(NODE_ON_CANVAS, node_type)
    return node


def workflow_tabs(page: Page) -> int:
    count: int = page.evaluate("app.extensionManager.workflow.openWorkflows.length")
    return count


def test_an_event_makes_a_placeholder_real_and_keeps_its_values_and_links(
    comfyui: ComfyUI, browser_page: Page
) -> None:
    load(browser_page, "LateAlpha")
    assert browser_page.evaluate(NODE_ON_CANVAS, "LateAlpha")["red"]
    tabs = workflow_tabs(browser_page)

    register(comfyui, "LateAlpha")

    node = wait_until_real(browser_page, "LateAlpha")
    assert node["widgets"] == [["amount", 41], ["title", "kept"]]
    assert node["links"] == 1
    assert workflow_tabs(browser_page) == tabs


def test_the_page_says_which_pack_became_ready(comfyui: ComfyUI, browser_page: Page) -> None:
    register(comfyui, "LateBeta")

    toast = browser_page.get_by_text("Ready: late-nodes").first
    toast.wait_for(timeout=20_000)


def test_a_graph_without_placeholders_is_not_loaded_again(comfyui: ComfyUI, browser_page: Page) -> None:
    load(browser_page, "PreviewAny")
    browser_page.evaluate("() => { window.markedNode = app.rootGraph.nodes[0]; }")

    register(comfyui, "LateGamma")

    wait_until_registered(browser_page, "LateGamma")
    register(comfyui, "LateDelta")
    wait_until_registered(browser_page, "LateDelta")
    assert browser_page.evaluate("app.rootGraph.nodes.includes(window.markedNode)")


def test_a_placeholder_in_another_tab_is_real_when_its_tab_is_opened(
    comfyui: ComfyUI, browser_page: Page
) -> None:
    load(browser_page, "LateEpsilon")
    load(browser_page, "PreviewAny")
    tabs = browser_page.locator(".workflow-tabs .workflow-label")

    register(comfyui, "LateEpsilon")
    wait_until_registered(browser_page, "LateEpsilon")
    tabs.nth(workflow_tabs(browser_page) - 2).click()

    assert wait_until_real(browser_page, "LateEpsilon")["widgets"] == [["amount", 41], ["title", "kept"]]


def test_page_scripts_of_a_late_pack_run_as_if_they_had_been_there_at_the_start(
    comfyui: ComfyUI, browser_page: Page
) -> None:
    """ComfyUI itself never calls `init` and `setup` of an extension that is registered after the start of the page."""
    scripts = ["/late-nodes/broken.js", "/late-nodes/helpful.js"]
    browser_page.evaluate("() => { window.lateCalls = []; }")

    register(comfyui, "LateEta", scripts=scripts)

    calls = ["init", "beforeRegisterNodeDef LateEta", "setup broken", "setup"]
    browser_page.wait_for_function("(calls) => window.lateCalls.length === calls.length", arg=calls)
    assert browser_page.evaluate("window.lateCalls") == calls

    register(comfyui, "LateTheta", scripts=scripts)
    wait_until_registered(browser_page, "LateTheta")
    browser_page.evaluate(FRAMES, 10)
    assert browser_page.evaluate("window.lateCalls.filter((call) => call === 'setup').length") == 1
    load(browser_page, "LateEta")
    assert browser_page.evaluate("window.lateCalls.includes('nodeCreated LateEta')")


def test_a_lost_event_is_made_up_for_when_the_connection_returns(
    comfyui: ComfyUI, browser_page: Page
) -> None:
    load(browser_page, "LateZeta")
    register(comfyui, "LateZeta", announce=False)

    browser_page.evaluate("app.api.socket.close()")

    wait_until_real(browser_page, "LateZeta")
