"""The gateway in ComfyUI's server: its table follows what is known of the sites, its workers are kept while in use."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from patience import eventually
from webhost import WebPack, browser, play

from comfy_env_core.comfyui.web.installation import install, merge, web_site
from comfy_env_core.environments.states import SiteState
from comfy_env_core.supervision import WorkerPool


@dataclasses.dataclass
class Server:
    """Stands for ComfyUI's PromptServer: an application, a loop, and a list of prompt handlers."""

    app: web.Application
    loop: asyncio.AbstractEventLoop
    handlers: list[Callable[[Any], Any]] = dataclasses.field(default_factory=list)

    def add_on_prompt_handler(self, handler: Callable[[Any], Any]) -> None:
        self.handlers.append(handler)


class Manager:
    """Stands for the manager: one site, whose description the test changes."""

    def __init__(self) -> None:
        self.runtime = SimpleNamespace(
            id="p", site=SimpleNamespace(pack=SimpleNamespace(name="p")), record=None
        )
        self.sites = {"p": self.runtime}
        self.listeners: list[Any] = []

    def add_listener(self, listener: Any) -> None:
        self.listeners.append(listener)

    def describe(self, **web_side: Any) -> None:
        self.runtime.record = SimpleNamespace(descriptions={"p": {"web": web_side}})
        for listener in self.listeners:
            listener.on_site(SimpleNamespace(state=SiteState.READY))

    def call(self, runtime: Any, method: str, args: Any) -> Any:
        raise RuntimeError("no worker in this test")


def test_a_site_that_is_not_described_or_has_nothing_for_the_web_is_left_out() -> None:
    manager = Manager()
    assert web_site(manager, manager.runtime) is None  # type: ignore[arg-type]
    manager.describe(routes=[], statics=[], prompt_handlers=0)
    assert web_site(manager, manager.runtime) is None  # type: ignore[arg-type]


def test_a_site_that_is_described_anew_has_its_new_routes_while_the_server_runs() -> None:
    async def scenario() -> None:
        manager, server = Manager(), Server(web.Application(), asyncio.get_running_loop())
        install(server, {}, manager)  # type: ignore[arg-type]
        async with TestClient(TestServer(server.app)) as client:
            assert (await client.get("/late")).status == 404
            manager.describe(routes=[["GET", "/late"]])
            await asyncio.sleep(0)
            assert (await client.get("/late")).status == 502  # asked, though nobody is there
            manager.describe(routes=[["GET", "/other"]])
            await asyncio.sleep(0)
            assert (await client.get("/late")).status == 404
        assert len(server.handlers) == 1

    play(scenario())


def test_what_several_modules_of_a_site_repeat_is_there_once() -> None:
    first = {"routes": [["GET", "/a"]], "statics": [], "prompt_handlers": 1}
    second = {
        "routes": [["GET", "/a"], ["GET", "/b"]],
        "statics": [["/s", "/d", False]],
        "prompt_handlers": 1,
    }
    assert merge([first, {}, second]) == {
        "routes": [("GET", "/a"), ("GET", "/b")],
        "statics": [("/s", "/d", False)],
        "prompt_handlers": 1,
    }


def test_a_worker_counts_as_used_while_it_answers_and_as_idle_afterwards(
    web_pack: WebPack, pool: WorkerPool
) -> None:
    site = web_pack(
        """
@routes.get("/slow")
async def slow(request):
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"begun")
    while not os.path.exists(__file__ + ".end"):
        await asyncio.sleep(0.01)
    return response
"""
    )

    def objects() -> int:
        worker = pool.running(site.id)
        assert worker is not None
        return worker.statistics.objects

    async def scenario() -> None:
        async with browser(site) as client:
            answer = await client.get("/slow")
            assert await answer.content.readexactly(5) == b"begun"
            assert objects() == 1
            (Path(site.modules[0]) / "__init__.py.end").touch()
            await answer.read()
            assert await asyncio.to_thread(eventually, lambda: objects() == 0)

    play(scenario())
