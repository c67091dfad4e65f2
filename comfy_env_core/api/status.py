"""`GET /comfy-env/status`: everything that changes by itself, so that a page is current after one request."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from typing import Literal, TypedDict

import comfy_env_core
from comfy_env_core.api.backend import Backend
from comfy_env_core.api.guard import Policy
from comfy_env_core.api.operation import Ask, Operation
from comfy_env_core.api.work import JobJson
from comfy_env_core.building.job_snapshot import BuildJson
from comfy_env_core.building.platform import Platform, UnknownPlatform
from comfy_env_core.environments.store import Store
from comfy_env_core.settings.effective import effective
from comfy_env_core.sites.status import SiteJson
from comfy_env_core.sites.worker_status import WorkerJson


class EngineJson(TypedDict):
    """What fills environments.

    - `setting`: "auto", "pixi" or "embedded", or whatever else COMFY_ENV_ENGINE says, at which builds fail then.
    - `last_used`, `last_version`: of the newest environment; null before the first.
    """

    setting: str
    last_used: str | None
    last_version: str | None


class StoreJson(TypedDict):
    """Where environments live. `problem`: why nothing can be built there, for people."""

    root: str
    free_bytes: int | None
    total_bytes: int | None
    problem: str | None


class PolicyJson(TypedDict):
    """`build_mode`: what a start does with environments that are missing. `why_not`: why nothing may be changed."""

    build_mode: Literal["background", "blocking", "off"]
    may_change: bool
    why_not: str | None


class SkippedJson(TypedDict):
    """A pack or directory that was not looked into."""

    name: str
    reason: str


class MistakeJson(TypedDict):
    """A file by which somebody meant to isolate something, and why it does not."""

    path: str
    problem: str
    remedy: str


class StatusJson(TypedDict):
    """What there is, and how it stands.

    - `run`, `sequence`: as in the events; what is said here is as new as that event, or newer.
    - `builds`: the last build of each environment that this process began.
    - `jobs`: work that was asked for here, the oldest first.
    - `shared_memory`: of the workers, in bytes; null before the first of them.
    """

    run: str
    sequence: int
    version: str
    python: str
    comfyui_version: str | None
    platform: str
    engine: EngineJson
    store: StoreJson
    policy: PolicyJson
    sites: list[SiteJson]
    builds: list[BuildJson]
    workers: list[WorkerJson]
    jobs: list[JobJson]
    skipped: list[SkippedJson]
    mistakes: list[MistakeJson]
    shared_memory: dict[str, int] | None


def operations(backend: Backend) -> list[Operation]:
    return [Operation("GET", "/status", Status(backend).show, answer=StatusJson, tag="status")]


class Status:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._policy = Policy.of(backend.facts, backend.environ)
        self._variables = effective(backend.environ, backend.store)

    def show(self, ask: Ask) -> StatusJson:
        """What there is, and how it stands: one request makes a page current.

        Events tell of every change afterwards.
        """
        backend, manager = self._backend, self._backend.manager
        sequence = backend.feed.sequence  # before all else: what changes meanwhile is told once more
        processes = manager.workers.status()
        why_not = self._policy.why_no_changes
        return {
            "run": backend.feed.run,
            "sequence": sequence,
            "version": comfy_env_core.__version__,
            "python": platform.python_version(),
            "comfyui_version": backend.facts.comfyui_version,
            "platform": _platform(),
            "engine": self._engine(),
            "store": store_json(manager.store),
            "policy": {
                "build_mode": manager.mode.value,
                "may_change": why_not is None,
                "why_not": why_not,
            },
            "sites": [runtime.status().as_json() for runtime in manager.sites.values()],
            "builds": [build.as_json() for build in manager.builds()],
            "workers": processes["workers"],
            "jobs": backend.works.all(),
            "skipped": [{"name": one.name, "reason": one.reason} for one in manager.scan.skipped],
            "mistakes": [
                {"path": str(one.path), "problem": one.problem, "remedy": one.remedy}
                for one in manager.scan.mistakes
            ],
            "shared_memory": processes["shared_memory"],
        }

    def _engine(self) -> EngineJson:
        backend = self._backend
        self._variables.renew()
        records = (backend.looks.at(environment).record for environment in backend.store.environments())
        newest = max(filter(None, records), key=lambda record: record.built_at, default=None)
        return {
            "setting": self._variables.get("COMFY_ENV_ENGINE", "").strip() or "auto",
            "last_used": newest.engine if newest is not None else None,
            "last_version": newest.engine_version if newest is not None else None,
        }


def store_json(store: Store) -> StoreJson:
    """Also of a store that is not there yet: the disk that it would be on."""
    place = _existing(store.root)
    problem = _problem(place)
    try:
        usage = shutil.disk_usage(place)
    except OSError as error:
        problem = f"The disk of {str(place)!r} cannot be asked: {error.strerror or error}."
        return {"root": str(store.root), "free_bytes": None, "total_bytes": None, "problem": problem}
    return {
        "root": str(store.root),
        "free_bytes": usage.free,
        "total_bytes": usage.total,
        "problem": problem,
    }


def _problem(place: Path) -> str | None:
    if not place.is_dir():
        return f"{str(place)!r} is not a directory. Set COMFY_ENV_ROOT to one."
    if not os.access(place, os.W_OK | os.X_OK):
        return f"{str(place)!r} may not be written. Make it writable for you, or set COMFY_ENV_ROOT to another place."
    return None


def _existing(path: Path) -> Path:
    return next((place for place in (path, *path.parents) if os.path.lexists(place)), path)


def _platform() -> str:
    try:
        return Platform.current().name
    except UnknownPlatform:
        return f"{platform.system()} {platform.machine()}"
