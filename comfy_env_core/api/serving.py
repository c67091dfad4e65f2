"""What answers below `/comfy-env`. The route table is passed in, so that it can be tested without a server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiohttp import web

from comfy_env_core.api.backend import Backend
from comfy_env_core.api.guard import Policy
from comfy_env_core.api.late_routes import LateRoutes
from comfy_env_core.api.pages import Pages

#: The panel's files lie beside the package.
_PANEL = Path(__file__).parents[2] / "web"
#: Handlers wait for disks rather than for the processor.
_THREADS = 8


def add_routes(routes: web.RouteTableDef, backend: Backend) -> LateRoutes:
    """Adds the routes to `routes`; ComfyUI mounts each of them below `/api` as well.

    Most of them are made later: `make_soon` of what is returned is to be called when ComfyUI has started.
    """
    policy = Policy.of(backend.facts, backend.environ)
    executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="comfy-env api")

    def make() -> web.RouteTableDef:
        # Late, for the time that it takes; see `late_routes`.
        from comfy_env_core.api.routes import table  # noqa: PLC0415

        return table(backend, policy, executor)

    Pages(_PANEL, policy, executor).add(routes)
    late = LateRoutes(make, executor)
    late.add(routes)
    return late
