"""Routes, over a real manager and a real HTTP server, without ComfyUI."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

aiohttp = pytest.importorskip(
    "aiohttp", reason="aiohttp comes with ComfyUI; without it there are no routes to test"
)

from aiohttp import web  # noqa: E402  (see the line above)
from aiohttp.test_utils import TestClient, TestServer  # noqa: E402

from comfy_env_core.api.backend import Backend  # noqa: E402
from comfy_env_core.api.events import EventFeed  # noqa: E402
from comfy_env_core.api.serving import add_routes  # noqa: E402
from comfy_env_core.api.work import Works  # noqa: E402
from comfy_env_core.discovery import host_skips, scan  # noqa: E402
from comfy_env_core.environments.store import Store  # noqa: E402
from comfy_env_core.manager import BuildMode, Manager, ManagerParts  # noqa: E402


class NoPlanner:
    """Nothing in these tests is planned."""

    def plan_key(self, site: object, source: str, host_need: object) -> str:
        return "key"


def refuse(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("looking at the status must not start anything")


@pytest.fixture
def manager(tmp_path: Path) -> Manager:
    pack = tmp_path / "custom_nodes" / "pack"
    pack.mkdir(parents=True)
    (pack / "comfy-env.toml").write_text("python = 3.10\n")
    (pack / "__init__.py").write_text("")
    parts = ManagerParts(
        store=Store(tmp_path / "store"),
        planner=NoPlanner(),  # type: ignore[arg-type]  # a stand-in with the one method that is called
        make_builder=refuse,
        make_pool=refuse,
        make_spec=refuse,
        comfyui_source=None,
        module_name=str,
    )
    manager = Manager(parts, scan([tmp_path / "custom_nodes"], host_skips(False, ())), BuildMode.OFF)
    manager.start()
    return manager


def get(manager: Manager, path: str) -> tuple[int, Any]:
    async def ask() -> tuple[int, Any]:
        routes = web.RouteTableDef()
        feed = EventFeed(lambda event, data: None)
        add_routes(routes, Backend(manager, feed, Works(feed.job_changed)))
        app = web.Application()
        app.add_routes(routes)
        async with TestClient(TestServer(app)) as client:
            answer = await client.get(path)
            return answer.status, json.loads(await answer.text())

    return asyncio.run(ask())


def test_status_names_every_site_with_state_and_cause(manager: Manager) -> None:
    status, body = get(manager, "/comfy-env/status")
    assert status == 200
    (site,) = body["sites"]
    assert (site["id"], site["state"]) == ("pack", "failed")
    assert site["failure"]["cause"] == "config"
    assert '"3.10"' in site["failure"]["message"]
    assert (body["builds"], body["jobs"], body["workers"]) == ([], [], [])
