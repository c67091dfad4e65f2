"""The routes under `/comfy-env`. The route table is passed in, so that they can be tested without a server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiohttp import web

from comfy_env_core.api import (
    disk,
    doctor,
    environments,
    jobs,
    logs,
    packs,
    prerequisites,
    settings,
    status,
    store_place,
    upkeep,
    workers,
)
from comfy_env_core.api.backend import Backend
from comfy_env_core.api.events import CHANGES_EVENT, NODES_EVENT, ChangesEvent, NodesEvent
from comfy_env_core.api.following import LOG_EVENT, LogEvent
from comfy_env_core.api.guard import Policy
from comfy_env_core.api.mounting import Mounting
from comfy_env_core.api.openapi import Document
from comfy_env_core.api.operation import Operation
from comfy_env_core.api.pages import Pages

#: The panel's files lie beside the package.
_PANEL = Path(__file__).parents[2] / "web"
#: The payloads of what is sent over ComfyUI's websocket.
EVENTS = {CHANGES_EVENT: ChangesEvent, NODES_EVENT: NodesEvent, LOG_EVENT: LogEvent}
#: Handlers wait for disks rather than for the processor.
_THREADS = 8


def operations(backend: Backend) -> list[Operation]:
    """All of them, in the order of the OpenAPI document."""
    return [
        *status.operations(backend),
        *packs.operations(backend),
        *prerequisites.operations(backend),
        *environments.operations(backend),
        *upkeep.operations(backend),
        *disk.operations(backend),
        *jobs.operations(backend),
        *workers.operations(backend),
        *logs.operations(backend),
        *settings.operations(backend),
        *store_place.operations(backend),
        *doctor.operations(backend),
    ]


def add_routes(routes: web.RouteTableDef, backend: Backend) -> None:
    """Adds the routes to `routes`; ComfyUI mounts each of them below `/api` as well."""
    policy = Policy.of(backend.facts, backend.environ)
    executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="comfy-env api")
    Pages(_PANEL, policy, executor).add(routes)
    Mounting(policy.admit, executor).add(routes, Document(operations(backend), EVENTS).operations)
