"""`GET /comfy-env/status`: everything that changes by itself, so that a page is current after one request."""

from __future__ import annotations

from typing import Any

from comfy_env_core.api.backend import Backend
from comfy_env_core.api.operation import Ask, Operation


def operations(backend: Backend) -> list[Operation]:
    return [Operation("GET", "/status", Status(backend).show, answer=dict[str, Any], tag="status")]


class Status:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def show(self, ask: Ask) -> dict[str, Any]:
        """What there is, and how it stands.

        Measuring the workers' memory takes milliseconds each.
        """
        return self._backend.manager.status()
