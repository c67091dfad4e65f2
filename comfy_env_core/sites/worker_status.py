"""A site's worker at one moment, for the outside."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from comfy_env_core.supervision import Worker
    from comfy_env_core.supervision.measuring import ProcessFigures


class WorkerJson(TypedDict):
    """The worker process of a site, running or ended.

    - `uptime_s`: since it answered first. `idle_s`: since it had something to do. `start_duration_s`: of the last one.
    - `calls`, `errors`: how many it was asked for, and how many of them raised. `open_calls`: without an answer yet.
      `queue`: those of them beyond the first, which wait, unless they are `async`.
    - `objects`: its own that ComfyUI holds: it does not leave as long as there are any.
    - `cpu_seconds`, `cpu_percent`: with the processes that it started; 100 is one core, since the question before.
    - `rss_bytes`: in memory. `pss_bytes`: what several share counted in parts. `private_bytes`: what its end gives
      back. `vram_bytes`: on GPUs, where the driver says so. All of them null where they are not known.
    - `last_end`: why its process ended the last time.
    """

    site: str
    pack: str
    pid: int | None
    state: Literal["stopped", "starting", "idle", "busy", "stopping", "crashed"]
    python: str | None
    uptime_s: float | None
    calls: int
    open_calls: int
    queue: int
    errors: int
    objects: int
    cpu_seconds: float | None
    cpu_percent: float | None
    rss_bytes: int | None
    pss_bytes: int | None
    private_bytes: int | None
    vram_bytes: int | None
    idle_s: float | None
    start_duration_s: float | None
    last_end: str | None
    log_path: str


class ProcessesJson(TypedDict):
    """`shared_memory`: bytes that ComfyUI's process shares with workers, by what they are; null before the first."""

    workers: list[WorkerJson]
    shared_memory: dict[str, int] | None


def worker_json(worker: Worker, figures: ProcessFigures | None, vram_bytes: int | None) -> WorkerJson:
    """`figures`: of its process, None if it has none."""
    statistics = worker.statistics
    has_process = statistics.pid is not None and statistics.started_at is not None
    return {
        "site": worker.spec.site_id,
        "pack": worker.spec.pack_name,
        "pid": statistics.pid,
        "state": statistics.state.value,
        "python": statistics.python_version,
        "uptime_s": _rounded(time.monotonic() - (statistics.started_at or 0.0)) if has_process else None,
        "calls": statistics.calls,
        "open_calls": statistics.open_calls,
        "queue": max(0, statistics.open_calls - 1),
        "errors": statistics.errors,
        "objects": statistics.objects,
        "cpu_seconds": figures.cpu_seconds if figures is not None else None,
        "cpu_percent": figures.cpu_percent if figures is not None else None,
        "rss_bytes": figures.rss_bytes if figures is not None else None,
        "pss_bytes": figures.pss_bytes if figures is not None else None,
        "private_bytes": figures.private_bytes if figures is not None else None,
        "vram_bytes": vram_bytes,
        "idle_s": _rounded(statistics.idle_s),
        "start_duration_s": _rounded(statistics.start_duration_s),
        "last_end": statistics.last_end,
        "log_path": str(worker.spec.log_path),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
