"""The host's side of a worker: start it, call it, hear what it prints, notice its death, end it."""

from __future__ import annotations

from comfy_env_core.supervision.errors import (
    WorkerCrashed,
    WorkerError,
    WorkerNotRunning,
    WorkerStartError,
    WorkerStopped,
    WorkerTimedOut,
)
from comfy_env_core.supervision.idling import IdlePolicy
from comfy_env_core.supervision.open_call import WorkerCall
from comfy_env_core.supervision.pool import WorkerPool
from comfy_env_core.supervision.services import HostServices, Service
from comfy_env_core.supervision.spec import WorkerSpec
from comfy_env_core.supervision.statistics import WorkerStatistics
from comfy_env_core.supervision.worker import Worker

__all__ = [
    "HostServices",
    "IdlePolicy",
    "Service",
    "Worker",
    "WorkerCall",
    "WorkerCrashed",
    "WorkerError",
    "WorkerNotRunning",
    "WorkerPool",
    "WorkerSpec",
    "WorkerStartError",
    "WorkerStatistics",
    "WorkerStopped",
    "WorkerTimedOut",
]
