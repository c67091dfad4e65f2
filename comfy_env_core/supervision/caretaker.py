"""Ends idle workers when the policy says so, looking now and then, on a thread that exists only while workers do."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from comfy_env_core.supervision.errors import WorkerError
from comfy_env_core.supervision.idling import IdlePolicy, IdleWorker, SystemMemory, endings
from comfy_env_core.supervision.statistics import process_memory
from comfy_env_core.supervision.worker import Worker
from comfy_env_core.wire import CallTimeout

log = logging.getLogger("comfy-env.supervision")

#: One wake-up a minute costs nothing, and memory that runs out faster is beyond our help.
LOOK_EVERY_S = 60.0
#: An idle worker answers in a millisecond.
_ANSWER_S = 2.0


class Caretaker:
    """`workers` gives those that exist, `memory` what the machine has."""

    def __init__(
        self,
        workers: Callable[[], tuple[Worker, ...]],
        memory: Callable[[], SystemMemory],
        policy: IdlePolicy,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._workers = workers
        self._memory = memory
        self._policy = policy
        self._look_every_s = look_every_s
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._woken = threading.Event()
        self._told: set[str] = set()

    def wake(self) -> None:
        """There is a worker: look after it from now on."""
        with self._lock:
            if self._thread is None and not self._is_closing:
                self._thread = threading.Thread(target=self._run, name="comfy-env caretaker", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._is_closing = True
        self._woken.set()

    def follow(self, policy: IdlePolicy) -> None:
        """Look by this one from now on, and at once, on the thread. Returns at once."""
        self._policy = policy
        self._woken.set()

    def look(self) -> None:
        """Ends who has to go now."""
        workers = {worker.spec.site_id: worker for worker in self._workers()}
        idle = [entry for worker in workers.values() for entry in idle_worker(worker)]
        memory = self._memory()
        running = sum(1 for worker in workers.values() if worker.is_alive)
        for ending in endings(idle, memory, self._policy, running):
            if workers[ending.site_id].stop_if_idle(ending.reason):
                log.info(
                    "The worker of %s was stopped: %s. Its next node starts it again.",
                    ending.site_id,
                    ending.reason,
                )
        if memory.available_bytes < memory.low_bytes:
            self._tell_of_holders(idle)

    def _run(self) -> None:
        while True:
            self._woken.wait(self._look_every_s)
            self._woken.clear()
            if self._is_closing:
                return
            with self._lock:
                if not any(worker.is_alive for worker in self._workers()):
                    self._thread = None
                    return
            try:
                self.look()
            except Exception:  # this thread's boundary; it looks again in a minute
                log.exception("Looking after idle workers failed")

    def _tell_of_holders(self, idle: list[IdleWorker]) -> None:
        for worker in idle:
            if worker.objects and worker.site_id not in self._told:
                self._told.add(worker.site_id)
                log.warning(
                    "Memory runs short. The idle worker of %s stays, because ComfyUI's cache holds %d of its objects; "
                    '"Unload Models and Execution Cache" lets go of them.',
                    worker.site_id,
                    worker.objects,
                )


def idle_worker(worker: Worker) -> list[IdleWorker]:
    """What is to know of a worker that is idle; empty for one that is not."""
    statistics = worker.statistics
    if statistics.idle_s is None or statistics.pid is None:
        return []
    memory = process_memory(statistics.pid)
    if memory is None:
        return []
    try:
        has_state = bool(worker.ask("has_state", timeout_s=_ANSWER_S))
    except (WorkerError, CallTimeout):
        return []  # it has begun to work, or is gone
    return [
        IdleWorker(
            site_id=worker.spec.site_id,
            idle_s=statistics.idle_s,
            private_bytes=memory.private_bytes,
            objects=statistics.objects,
            has_state=has_state,
            was_used=statistics.was_used,
        )
    ]
