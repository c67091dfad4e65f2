"""ComfyUI's web server as far as isolated packs meet it, with real workers behind: for the tests of the gateway."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from fakepack import RecordingServices, spec_for, write_pack
from patience import PATIENCE_S

from comfy_env_core.comfyui.web.gateway import Gateway
from comfy_env_core.comfyui.web.table import WebSite, WebTable
from comfy_env_core.supervision import WorkerCall, WorkerPool, WorkerSpec

WebPack = Callable[..., WebSite]

IMPORTS = """
import asyncio, json, os, time
from aiohttp import web
from server import PromptServer
routes = PromptServer.instance.routes
NODE_CLASS_MAPPINGS = {}

"""


@pytest.fixture
def pool(services: RecordingServices) -> Iterator[WorkerPool]:
    made = WorkerPool(services)
    yield made
    made.stop_all()


@pytest.fixture
def web_pack(tmp_path: Path, pool: WorkerPool) -> WebPack:
    """Called as ``web_pack(source, name="fake-pack")``: a pack that was described by a worker, which then ended."""

    def make(source: str, name: str = "fake-pack", before: str = IMPORTS) -> WebSite:
        spec = spec_for(write_pack(tmp_path, {"__init__.py": before + source}, name))
        site = site_of(pool, spec)
        pool.stop(spec.site_id)
        return site

    return make


def site_of(pool: WorkerPool, spec: WorkerSpec) -> WebSite:
    """What the host knows of a site once its module is described."""

    def call(method: str, args: object) -> WorkerCall:
        return pool.get(spec).call(method, args)  # type: ignore[arg-type]

    web_side = call("describe", [spec.module_name]).result(PATIENCE_S)["web"]
    return WebSite(spec.site_id, spec.pack_name, (spec.module_name,), web_side, call)


def play(scenario: Coroutine[Any, Any, None]) -> None:
    """Runs a test's coroutine to its end, which must come."""
    asyncio.run(asyncio.wait_for(scenario, 60))


@contextlib.asynccontextmanager
async def browser(
    *sites: WebSite, extension_dirs: dict[str, str] | None = None, front_end: Path | None = None
) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """A client of a server that has the sites' routes, one of its own (GET and HEAD /own) and a front end at "/"."""
    gateway = Gateway({} if extension_dirs is None else extension_dirs)
    gateway.table = WebTable(sites)

    @web.middleware
    async def comfyui(request: web.Request, handler: object) -> web.StreamResponse:
        if request.headers.get("Origin") == "http://evil.example":
            return web.Response(status=403)
        response: web.StreamResponse = await handler(request)  # type: ignore[operator]
        response.headers["X-ComfyUI"] = "was here"
        if "compress" in request.query and isinstance(response, web.Response) and response.body:
            response.enable_compression()
        return response

    async def own(request: web.Request) -> web.Response:
        return web.Response(text="ComfyUI's own")

    async def queue(request: web.Request) -> web.Response:
        return web.json_response(gateway.prompts.rewrite(await request.json()))

    app = web.Application(middlewares=[comfyui])
    app.middlewares.append(gateway.middleware())
    app.router.add_get("/own", own)
    app.router.add_post("/prompt", queue)
    for name, directory in (extension_dirs or {}).items():
        app.router.add_static("/extensions/" + name, directory)
    if front_end is not None:
        app.router.add_static("/", front_end)
    async with TestClient(TestServer(app)) as client:
        yield client
