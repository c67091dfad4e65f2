"""The routes under `/comfy-env` and the events beside them. Importing this imports nearly everything: see `serving`."""

from __future__ import annotations

from concurrent.futures import Executor

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
    support,
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

#: The payloads of what is sent over ComfyUI's websocket.
EVENTS = {CHANGES_EVENT: ChangesEvent, NODES_EVENT: NodesEvent, LOG_EVENT: LogEvent}


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
        *support.operations(backend),
    ]


def table(backend: Backend, policy: Policy, executor: Executor) -> web.RouteTableDef:
    """All of them, and one that answers what they do not."""
    routes = web.RouteTableDef()
    Mounting(policy.admit, executor).add(routes, Document(operations(backend), EVENTS).operations)
    return routes
