"""Routes, web folders and prompt handlers of isolated packs in a real ComfyUI: built late, and known at its start."""

from __future__ import annotations

import asyncio
import io
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from host.base import PACKS, Place, make_base
from host.events import EventStream
from host.fixtures import StartComfyUI
from host.server import ComfyUI

BUILT_LATE, KNOWN = "built after the start", "known at the start"
MIB = 1024 * 1024
SCRIPTS = ("/extensions/web-pack/web-pack.js", "/extensions/comfyui-web-parts/web-parts.js")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    packs = [PACKS / "web-pack", PACKS / "web-parts"]
    return make_base(tmp_path_factory.mktemp("web") / "base", packs)


@pytest.fixture(scope="module", params=[BUILT_LATE, KNOWN])
def server(
    request: pytest.FixtureRequest, base: Path, place: Place, start_comfyui: StartComfyUI
) -> Iterator[ComfyUI]:
    """Two servers, one after the other: the second finds what the first one built and described."""
    comfyui = start_comfyui(base, environment=place.environment)
    if request.param == KNOWN:
        assert comfyui.get("/extensions/web-pack/web-pack.js") and comfyui.get("/web-pack/page/index.html")
        assert comfyui.children() == [], "files are served without a worker"
        assert comfyui.get("/web-pack/hello/first")["name"] == "first"
    with EventStream(comfyui.url) as events:
        assert {site["state"] for site in comfyui.wait_for_sites().values()} == {"ready"}
        comfyui.wait_for_nodes("WebPackEcho", "WebPartsNode")
        if request.param == BUILT_LATE:
            events.wait_for(lambda event: SCRIPTS[0] in event.data.get("scripts", ()), 10)
        told = {path for event in events.received("comfy-env.nodes") for path in event.data["scripts"]}
        assert SCRIPTS[1] not in told, (
            "that pack is not isolated as a whole: its page scripts were there at once"
        )
    yield comfyui
    comfyui.stop()


def echo(text: str) -> dict[str, object]:
    return {"1": {"class_type": "WebPackEcho", "inputs": {"text": text}}}


def test_routes_are_served_with_and_without_the_api_prefix(server: ComfyUI) -> None:
    workers = {child.pid for child in server.children()}
    for prefix in ("", "/api"):
        said = server.get(f"{prefix}/web-pack/hello/caf%C3%A9")
        assert said["name"] == "café" and said["left"] == 0 and said["user_file"].endswith("default/x.json")
        assert workers <= {child.pid for child in server.children()} and said["pid"] != server.pid
    assert int(server.get("/web-parts/pid")) in {child.pid for child in server.children()}
    assert server.request("GET", "/web-pack/nowhere").status == 404


def test_comfyuis_check_of_origins_comes_first(server: ComfyUI) -> None:
    headers = {"Origin": "http://evil.example"}
    assert server.request("GET", "/web-pack/hello/x", headers=headers).status == 403


def test_an_upload_of_300_megabytes_arrives(server: ComfyUI) -> None:
    request = urllib.request.Request(
        f"{server.url}/web-pack/upload", data=io.BytesIO(bytes(300 * MIB)), method="POST"
    )
    request.add_header("Content-Length", str(300 * MIB))
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.read() == b'{"size": %d}' % (300 * MIB)


def test_a_websocket_of_the_packs_own_talks(server: ComfyUI) -> None:
    async def talk() -> str:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{server.url}/web-pack/socket") as ws,
        ):
            await ws.send_str("hallo")
            return await ws.receive_str()

    assert asyncio.run(talk()) == "HALLO"


def test_page_scripts_are_listed_and_served(server: ComfyUI) -> None:
    listed = server.get("/extensions")
    for path, name in zip(SCRIPTS, ("web-pack", "web-parts"), strict=True):
        assert path in listed
        assert name in server.get(path)
    assert server.get("/web-pack/page/index.html") == "<p>web-pack</p>\n"
    for path in ("/extensions/web-pack/../__init__.py", "/web-pack/page/..%2f__init__.py"):
        assert server.request("GET", path).status in (403, 404)


def test_a_prompt_handler_rewrites_prompts_and_remembers(server: ComfyUI) -> None:
    before = server.get("/web-pack/hello/x")["prompts"]
    for number in (1, 2):
        text = server.queue(echo("count"))["outputs"]["1"]["text"][0]
        assert text == f"prompt {before + number}"
    assert server.queue(echo("as it is"))["outputs"]["1"]["text"][0] == "as it is"


def test_a_handlers_message_reaches_the_page(server: ComfyUI) -> None:
    with EventStream(server.url) as events:
        assert server.request("POST", "/web-pack/tell", {"n": 1}).status == 204
        assert events.wait_for(lambda event: event.type == "web-pack.told", 10).data == {"n": 1}
