"""The stage itself: what other tests rely on."""

from __future__ import annotations

import asyncio
import json
import threading

import aiohttp
from api.stage import Stage
from patience import PATIENCE_S

from comfy_env_core.manager import BuildMode


def test_a_pack_is_built_described_and_run(stage: Stage) -> None:
    stage.add_pack("mesh")
    stage.open()
    assert stage.manager.wait(PATIENCE_S)
    (site,) = stage.get("/status")["sites"]
    assert (site["state"], site["nodes"]) == ("ready", ["Echo"])
    assert stage.run_node("mesh", "hi") == ("hi!",)
    assert stage.request("GET", "/api/comfy-env/status").json["sites"] == [site]


def test_a_build_waits_at_its_gate(stage: Stage) -> None:
    stage.add_pack("mesh")
    gate = threading.Event()
    stage.add_course("mesh", gate=gate, packages=3)
    stage.open(workers=False)
    assert not stage.manager.wait(0.5)
    assert stage.get("/status")["sites"][0]["state"] == "building"
    gate.set()
    stage.manager.allow_workers()
    assert stage.manager.wait(PATIENCE_S)


def test_many_packs_are_ready_at_once(stage: Stage) -> None:
    names = stage.add_ready_packs(5)
    stage.open(BuildMode.OFF)
    assert [site["state"] for site in stage.get("/status")["sites"]] == ["ready"] * 5
    assert stage.engine.builds == [names[0]]
    assert stage.run_node(names[4]) == ("hello!",)


def test_events_reach_the_pages_websocket(stage: Stage) -> None:
    stage.open()

    async def listen() -> list[dict[str, object]]:
        heard = []
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(stage.url + "/ws?clientId=me") as page,
        ):
            for _ in range(3):
                heard.append(json.loads(await page.receive_str(timeout=PATIENCE_S)))
                stage.send_sync("comfy-env.test", len(heard), "someone else")
                stage.send_sync("comfy-env.test", len(heard), "me" if len(heard) == 1 else None)
        return heard

    first, *others = asyncio.run(listen())
    assert first["type"] == "status"
    assert others == [{"type": "comfy-env.test", "data": 1}, {"type": "comfy-env.test", "data": 2}]
    assert stage.wait_for_event("comfy-env.test", lambda data: data == 2) == 2
