"""Figures of a worker for the panel and for the decision who has to go."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil

from comfy_env_core.environments.states import WorkerState


@dataclass(frozen=True)
class WorkerStatistics:
    """A worker at one moment. Times are seconds of `time.monotonic`.

    - `calls`, `open_calls`: those it was asked for, and those of them without an answer yet. `errors`: those that
      raised, cancelled ones left out.
    - `was_used`: whether its process did anything but describe nodes.
    - `objects`: of its own, how many ComfyUI's process holds by handles.
    - `last_end`: why its process ended the last time.
    """

    pid: int | None
    state: WorkerState
    started_at: float | None
    start_duration_s: float | None
    calls: int
    open_calls: int
    errors: int
    last_used_at: float | None
    python_version: str | None
    was_used: bool
    objects: int
    last_end: str | None

    @property
    def idle_s(self) -> float | None:
        """How long it has had nothing to do; None when it is busy or has no process."""
        if self.state is not WorkerState.IDLE or self.last_used_at is None:
            return None
        return time.monotonic() - self.last_used_at


@dataclass(frozen=True)
class ProcessMemory:
    """What a process has in memory. PSS counts a page that several share in parts, and is known on Linux alone;
    `private_bytes` is what its end gives back."""

    rss_bytes: int
    pss_bytes: int | None
    private_bytes: int


def process_memory(pid: int) -> ProcessMemory | None:
    """None when the process is gone. Where no more may be known (macOS), all that it has counts as private."""
    try:
        process = psutil.Process(pid)
        try:
            full = process.memory_full_info()
        except psutil.AccessDenied:
            rss_bytes = process.memory_info().rss
            return ProcessMemory(rss_bytes, None, rss_bytes)
    except psutil.Error:
        return None
    return ProcessMemory(full.rss, getattr(full, "pss", None), full.uss)
