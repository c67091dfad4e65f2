"""What the processes of workers take of the machine, looked at as often as a page likes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import psutil

from comfy_env_core.supervision.statistics import process_memory

log = logging.getLogger("comfy-env.supervision")

#: A share of the processor over less time says little.
LEAST_INTERVAL_S = 1.0
#: What a share over more time says is not what somebody who looks now wants to know.
LONGEST_INTERVAL_S = 30.0
#: Finding processes that workers started takes the kernel a look at every process of the machine.
LOOK_FOR_CHILDREN_EVERY_S = 5.0
#: Counting a process's own memory takes the kernel a walk through all of it: milliseconds for some gigabytes. So each
#: is counted now and then, and a look spends no more than this on it.
COUNT_EVERY_S = 10.0
COUNTING_BUDGET_S = 0.015


class ProcessFigures(NamedTuple):
    """A process at one moment.

    - `cpu_seconds`: used so far, by it and by the processes that it started. `cpu_percent`: since the look before, 100
      for one whole core; None at the first look, or when the one before is long ago.
    - `pss_bytes`, `private_bytes`: as of `COUNT_EVERY_S` ago at most, as a rule; None as long as nobody could count.
    """

    cpu_seconds: float
    cpu_percent: float | None
    rss_bytes: int
    pss_bytes: int | None
    private_bytes: int | None


class Meter:
    """Thread-safe. Remembers what it saw of the processes that it was asked for last; owns nothing else."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._watched: dict[int, _Watched] = {}
        self._looked_for_children_at = float("-inf")

    def look(self, pids: Collection[int]) -> Mapping[int, ProcessFigures]:
        """Of those of `pids`, processes that we started, which are there."""
        with self._lock:
            self._watch(pids)
            now = self._clock()
            figures = {pid: watched.look(now) for pid, watched in self._watched.items() if pid in pids}
            return {pid: found for pid, found in figures.items() if found is not None}

    def _watch(self, pids: Collection[int]) -> None:
        now = self._clock()
        self._watched = {pid: watched for pid, watched in self._watched.items() if watched.is_there()}
        new = [pid for pid in pids if pid not in self._watched]
        for pid in new:
            try:
                self._watched[pid] = _Watched(psutil.Process(pid))
            except psutil.Error:
                continue  # gone meanwhile
        if new or now - self._looked_for_children_at >= LOOK_FOR_CHILDREN_EVERY_S:
            self._looked_for_children_at = now
            self._find_children()
        began = self._clock()
        for watched in sorted(self._watched.values(), key=lambda one: one.counted_at):
            if now - watched.counted_at >= COUNT_EVERY_S and self._clock() - began < COUNTING_BUDGET_S:
                watched.count(now)

    def _find_children(self) -> None:
        """One look at the machine's processes for all workers."""
        parents: dict[int, int] = {}
        processes: dict[int, psutil.Process] = {}
        for process in psutil.Process().children(recursive=True):
            try:
                parents[process.pid] = process.ppid()
            except psutil.Error:
                continue  # gone meanwhile
            processes[process.pid] = process
        families: dict[int, list[psutil.Process]] = {pid: [] for pid in self._watched}
        for pid, process in processes.items():
            ancestor = parents[pid]
            while ancestor in parents and ancestor not in families:
                ancestor = parents[ancestor]
            if ancestor in families:
                families[ancestor].append(process)
        for pid, children in families.items():
            self._watched[pid].children = children


class _Watched:
    """One process, and what was seen of it before."""

    def __init__(self, process: psutil.Process) -> None:
        self.process = process
        self.children: list[psutil.Process] = []
        self.counted_at = float("-inf")
        self._pss_bytes: int | None = None
        self._private_bytes: int | None = None
        self._measured: tuple[float, float] | None = None
        self._cpu_percent: float | None = None

    def is_there(self) -> bool:
        """Whether it is, and is the same process."""
        return self.process.is_running()

    def look(self, now: float) -> ProcessFigures | None:
        """None when it is gone."""
        try:
            rss_bytes = self.process.memory_info().rss
            cpu_seconds = _cpu_seconds(self.process)
        except psutil.Error:
            return None
        for child in self.children:
            try:
                cpu_seconds += _cpu_seconds(child)
            except psutil.Error:
                continue  # gone; its parent, having waited for it, has its time by now
        return ProcessFigures(
            round(cpu_seconds, 2),
            self._share(now, cpu_seconds),
            rss_bytes,
            self._pss_bytes,
            self._private_bytes,
        )

    def count(self, now: float) -> None:
        """Its own memory, and what it shares with others."""
        memory = process_memory(self.process.pid)
        if memory is not None:
            self.counted_at = now
            self._pss_bytes, self._private_bytes = memory.pss_bytes, memory.private_bytes

    def _share(self, now: float, cpu_seconds: float) -> float | None:
        if self._measured is None:
            self._measured = (now, cpu_seconds)
            return None
        interval_s = now - self._measured[0]
        if interval_s >= LEAST_INTERVAL_S:
            used_s = max(0.0, cpu_seconds - self._measured[1])
            self._measured = (now, cpu_seconds)
            self._cpu_percent = (
                round(100 * used_s / interval_s, 1) if interval_s <= LONGEST_INTERVAL_S else None
            )
        return self._cpu_percent


def _cpu_seconds(process: psutil.Process) -> float:
    """Its own and, on Unix, that of those of its children which have ended."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)
