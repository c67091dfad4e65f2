"""Telling listeners what changed: from one thread, in order, and never while anybody holds a lock."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from comfy_env_core.building.job_snapshot import JobSnapshot

if TYPE_CHECKING:  # job.py needs jobs.py, which imports this module
    from comfy_env_core.building.job import Job

log = logging.getLogger("comfy-env.building")

HEARTBEAT_S = 1.0


class Announcer:
    """Hands snapshots to the listeners; a build that is silent for a second is announced again with its elapsed time.

    The thread starts with the first snapshot. A listener that raises is logged and called again the next time.
    """

    def __init__(self, listeners: Sequence[Callable[[JobSnapshot], None]]) -> None:
        self._listeners = tuple(listeners)
        self._queue: queue.SimpleQueue[tuple[Job, JobSnapshot] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def put(self, job: Job, snapshot: JobSnapshot) -> None:
        """Announces the snapshot soon. After `close` nobody is told, but those who wait for the job wake up."""
        with self._lock:
            if not self._is_closed:
                self._queue.put((job, snapshot))
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="build announcements", daemon=True)
                    self._thread.start()
                return
        if snapshot.has_ended:
            job.mark_heard()

    def close(self, timeout_s: float) -> None:
        """Announces what is queued, then stops."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
            self._queue.put(None)
        if thread is not None:
            thread.join(timeout_s)

    def _run(self) -> None:
        told: dict[Job, float] = {}
        while True:
            try:
                item = self._queue.get(timeout=HEARTBEAT_S / 4 if told else None)
            except queue.Empty:
                self._beat(told)
                continue
            if item is None:
                return
            self._announce(*item, told)
            self._beat(told)

    def _announce(self, job: Job, snapshot: JobSnapshot, told: dict[Job, float]) -> None:
        self._tell(job, snapshot)
        if snapshot.has_ended:
            told.pop(job, None)
            job.mark_heard()
        else:
            told[job] = time.monotonic()

    def _beat(self, told: dict[Job, float]) -> None:
        """`told`: running job → when the listeners last heard of it."""
        now = time.monotonic()
        for job in [job for job, moment in told.items() if now - moment >= HEARTBEAT_S]:
            snapshot = job.snapshot()
            if not snapshot.has_ended:  # otherwise its last snapshot is in the queue and must stay the last
                self._tell(job, snapshot)
            told[job] = now

    def _tell(self, job: Job, snapshot: JobSnapshot) -> None:
        job.publish(snapshot)
        for listener in self._listeners:
            try:
                listener(snapshot)
            except Exception:  # somebody else's code: it must not stop the others from hearing
                log.exception(
                    "A listener failed on %s of environment %s", snapshot.state, snapshot.environment_id
                )
