"""The routes under `/comfy-env`. The route table is passed in, so that they can be tested without a server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from comfy_env_core.api import environments, packs, status
from comfy_env_core.api.backend import Backend
from comfy_env_core.api.guard import guard
from comfy_env_core.api.mounting import Mounting
from comfy_env_core.api.operation import Operation

#: Handlers wait for disks rather than for the processor.
_THREADS = 8


def operations(backend: Backend) -> list[Operation]:
    """All of them, in the order of the OpenAPI document."""
    return [
        *status.operations(backend),
        *packs.operations(backend),
        *environments.operations(backend),
    ]


def add_routes(routes: web.RouteTableDef, backend: Backend) -> None:
    """Adds the routes to `routes`; ComfyUI mounts each of them below `/api` as well."""
    executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="comfy-env api")
    Mounting(guard, executor).add(routes, operations(backend))
