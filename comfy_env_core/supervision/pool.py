"""The workers of this ComfyUI: started when needed, one per site, kept warm as long as there is room."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from comfy_env_core.supervision.caretaker import LOOK_EVERY_S, Caretaker, idle_worker
from comfy_env_core.supervision.errors import WorkerNotRunning
from comfy_env_core.supervision.idling import IdlePolicy, SystemMemory, leaving_order
from comfy_env_core.supervision.measuring import Meter, ProcessFigures
from comfy_env_core.supervision.open_call import WorkerCall
from comfy_env_core.supervision.services import HostServices
from comfy_env_core.supervision.spec import WorkerSpec
from comfy_env_core.supervision.system_memory import system_memory
from comfy_env_core.supervision.worker import OnChange, OnOutput, Worker
from comfy_env_core.wire import MemoryStatistics, SegmentMemory

log = logging.getLogger("comfy-env.supervision")

#: A worker that is stopped for lack of room between its start and the call: once is bad luck, five times a mistake.
_TRIES = 5


class WorkerPool:
    """Thread-safe. A site whose environment or source changed gets a new worker, the old one is stopped.

    With a limit on their number, a worker that has to be started takes the place of one that is idle. If none may go
    (all work, or ComfyUI holds their objects), it is started all the same: a node may wait for another worker's node,
    and waiting for a place could then last for ever.
    """

    def __init__(
        self,
        services: HostServices,
        on_output: OnOutput | None = None,
        *,
        on_change: OnChange | None = None,
        policy: IdlePolicy | None = None,
        system: Callable[[], SystemMemory] = system_memory,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._services = services
        self._on_output = on_output
        self._on_change = on_change
        self._policy = IdlePolicy() if policy is None else policy
        self._memory = SegmentMemory()
        self._meter = Meter()
        self._lock = threading.Lock()
        self._placing = threading.Lock()
        self._workers: dict[str, Worker] = {}
        self._closed = False
        self._caretaker = Caretaker(self.workers, system, self._policy, look_every_s)

    def call(
        self, spec: WorkerSpec, method: str, args: Sequence[Any] = (), *, timeout_s: float | None = None
    ) -> WorkerCall:
        """Calls the site's worker, starting it if need be. Raises WorkerStartError, or as `Worker.call`."""
        for _ in range(_TRIES - 1):
            try:
                return self.get(spec).call(method, args, timeout_s=timeout_s)
            except WorkerNotRunning:  # it was idle, and had to go, just now
                continue
        return self.get(spec).call(method, args, timeout_s=timeout_s)

    def get(self, spec: WorkerSpec, *, timeout_s: float = 60.0) -> Worker:
        """A running worker of the site; starts it, also again after a crash. Raises WorkerStartError.

        Callers that come while it is being started wait for the same start; other sites do not wait.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError(f"ComfyUI is shutting down; no worker is started for {spec.pack_name!r}")
            worker = self._workers.get(spec.site_id)
            outdated = worker if worker is not None and worker.spec != spec else None
            if worker is None or outdated is not None:
                worker = self._workers[spec.site_id] = Worker(
                    spec,
                    self._services,
                    self._on_output,
                    on_change=self._on_change,
                    memory=self._memory,
                )
        if outdated is not None:
            outdated.stop()
        if not worker.is_alive:
            self._make_room(spec.site_id)
            worker.start(timeout_s)
            self._caretaker.wake()
        return worker

    def running(self, site_id: str) -> Worker | None:
        """The worker of a site if it can take calls now; starts nothing."""
        with self._lock:
            worker = self._workers.get(site_id)
        return worker if worker is not None and worker.is_alive else None

    @property
    def memory(self) -> MemoryStatistics:
        """The shared memory ComfyUI's process has for its workers, in bytes."""
        return self._memory.statistics()

    def workers(self) -> tuple[Worker, ...]:
        """All workers, running or ended."""
        with self._lock:
            return tuple(self._workers.values())

    def follow(self, policy: IdlePolicy) -> None:
        """Go by this one from now on. Idle workers that it ends are ended soon, on another thread."""
        self._policy = policy
        self._caretaker.follow(policy)

    def figures(self) -> Mapping[int, ProcessFigures]:
        """What the processes of all workers take now, by process."""
        return self._meter.look([pid for worker in self.workers() if (pid := worker.pid) is not None])

    def trim(self) -> None:
        """Give back the shared memory that nothing uses now."""
        self._memory.trim()

    def look(self) -> None:
        """End the idle workers that have to go now, without waiting for the next time that somebody looks."""
        self._caretaker.look()

    def stop(self, site_id: str, grace_s: float = 5.0) -> None:
        """Stop the worker of a site; the next `get` starts it again."""
        worker = self.running(site_id)
        if worker is not None:
            worker.stop(grace_s)

    def stop_on_request(self, site_id: str, reason: str) -> bool:
        """The same, whatever it does: its open calls fail with `reason`. Whether there was one to stop."""
        worker = self.running(site_id)
        return worker is not None and worker.stop_on_request(reason)

    def stop_all(self, grace_s: float = 3.0) -> None:
        """Stop every worker at the same time and start none from now on."""
        with self._lock:
            self._closed = True
        self._caretaker.close()
        threads = [threading.Thread(target=worker.stop, args=(grace_s,)) for worker in self.workers()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._memory.close()

    def _make_room(self, site_id: str) -> None:
        limit = self._policy.max_workers
        if limit is None:
            return
        with self._placing:
            alive = [
                worker for worker in self.workers() if worker.is_alive and worker.spec.site_id != site_id
            ]
            too_many = len(alive) - limit + 1
            if too_many <= 0:
                return
            by_site = {worker.spec.site_id: worker for worker in alive}
            idle = [entry for worker in alive for entry in idle_worker(worker)]
            reason = f"only {limit} may run at once, and {site_id} needed the place"
            for entry in leaving_order(idle):
                too_many -= by_site[entry.site_id].stop_if_idle(reason)
                if too_many <= 0:
                    return
            log.warning(
                "The limit of workers, %d, is exceeded by %d for %s: the others work, or ComfyUI holds their objects.",
                limit,
                too_many,
                site_id,
            )
