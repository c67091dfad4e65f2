"""The workers of this ComfyUI: started when needed, one per site."""

from __future__ import annotations

import threading

from comfy_env_core.supervision.services import HostServices
from comfy_env_core.supervision.spec import WorkerSpec
from comfy_env_core.supervision.worker import OnOutput, Worker
from comfy_env_core.wire import MemoryStatistics, SegmentMemory


class WorkerPool:
    """Thread-safe. A site whose environment changed gets a new worker, the old one is stopped."""

    def __init__(self, services: HostServices, on_output: OnOutput | None = None) -> None:
        self._services = services
        self._on_output = on_output
        self._memory = SegmentMemory()
        self._lock = threading.Lock()
        self._workers: dict[str, Worker] = {}
        self._closed = False

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
                    spec, self._services, self._on_output, memory=self._memory
                )
        if outdated is not None:
            outdated.stop()
        worker.start(timeout_s)
        return worker

    def find(self, site_id: str) -> Worker | None:
        """The worker of a site if there is one, running or not; starts nothing."""
        with self._lock:
            return self._workers.get(site_id)

    def running(self, site_id: str) -> Worker | None:
        """The worker of a site if it can take calls now; starts nothing."""
        worker = self.find(site_id)
        return worker if worker is not None and worker.is_alive else None

    @property
    def memory(self) -> MemoryStatistics:
        """The shared memory ComfyUI's process has for its workers, in bytes."""
        return self._memory.statistics()

    def workers(self) -> tuple[Worker, ...]:
        """All workers, running or ended."""
        with self._lock:
            return tuple(self._workers.values())

    def stop(self, site_id: str, grace_s: float = 5.0) -> None:
        """Stop the worker of a site; the next `get` starts it again."""
        worker = self.find(site_id)
        if worker is not None:
            worker.stop(grace_s)

    def stop_all(self, grace_s: float = 3.0) -> None:
        """Stop every worker at the same time and start none from now on."""
        with self._lock:
            self._closed = True
        threads = [threading.Thread(target=worker.stop, args=(grace_s,)) for worker in self.workers()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._memory.close()
