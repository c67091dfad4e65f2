"""Builds under way and those that wait: who asked, in which order they start, how to stop them.

Each `Job` runs in a thread of its own. Whoever asks for an environment that is being built joins its job. Listeners
get a frozen `JobSnapshot` at every change and once a second, from one thread, in order.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from comfy_env_core.building.announcements import Announcer
from comfy_env_core.building.build_queue import BuildQueue
from comfy_env_core.building.construction import is_sound
from comfy_env_core.building.engines.contract import Engine
from comfy_env_core.building.errors import BuildError, disk_error
from comfy_env_core.building.job import Job, JobReport, cancelled
from comfy_env_core.building.job_snapshot import JobSnapshot
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.environments.locks import pypi_lock
from comfy_env_core.environments.states import EnvironmentState
from comfy_env_core.environments.store import Store

#: Builds at once in this process: more would fight for the disk and for memory while wheels are unpacked.
MAX_BUILDS = 2

__all__ = ["Builder", "Job", "JobReport", "JobSnapshot"]


class Builder:
    """Runs builds, at most `max_builds` at once, the most urgent first. One per process."""

    def __init__(
        self,
        store: Store,
        choose_engine: Callable[[Report], Engine],
        listeners: Sequence[Callable[[JobSnapshot], None]] = (),
        *,
        max_builds: int = MAX_BUILDS,
    ) -> None:
        self.store = store
        self.announcer = Announcer(listeners)
        self._choose_engine = choose_engine
        self._max_builds = max_builds
        self._lock = threading.RLock()
        self._queue: BuildQueue[Job] = BuildQueue()
        self._running: dict[Job, threading.Thread] = {}
        self._latest: dict[str, Job] = {}
        self._is_closed = False

    def submit(
        self, plan: BuildPlan, site_dirs: Sequence[Path] = (), priority: int = 0, *, rebuild: bool = False
    ) -> Job:
        """The job that builds this plan: the one under way, or a new one. Higher priorities start first; asking
        again for one that waits, with a higher priority, moves it up.

        `rebuild` builds also what is done, for one that misbehaves: beside it, so that it serves until the new one is
        done, and goes on if the job fails.
        An environment that is done already costs a link and no thread. Raises RuntimeError after `shutdown`.
        """
        with self._lock:
            if self._is_closed:
                raise RuntimeError(
                    f"Environment {plan.environment_id!r} was submitted to a builder that is shut down."
                )
            latest = self._latest.get(plan.environment_id)
            if latest is not None and latest.add_sites(site_dirs):
                self._queue.hurry(latest, priority)
                return latest
            previous = latest.snapshot().state if latest else EnvironmentState.MISSING
            job = Job(plan, self, priority, previous, rebuild=rebuild)
            self._latest[plan.environment_id] = job
            job.add_sites(site_dirs)
            if rebuild or not self._finish_at_once(job):
                self._queue.add(job, priority)
                self.fill_places()
            return job

    def jobs(self) -> tuple[Job, ...]:
        """The latest job of each environment that was submitted, ended ones included."""
        with self._lock:
            return tuple(self._latest.values())

    def job(self, job_id: str) -> Job | None:
        return next((job for job in self.jobs() if job.id == job_id), None)

    def shutdown(self, timeout_s: float = 10.0) -> bool:
        """Cancels everything, kills what runs, waits. True when every build has ended in time. May be called twice."""
        with self._lock:
            self._is_closed = True
            jobs, threads = self._queue.items(), dict(self._running)
        for job in (*jobs, *threads):
            job.cancel()
        deadline = time.monotonic() + timeout_s
        for thread in threads.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        self.announcer.close(max(0.5, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads.values())

    def drop_if_queued(self, job: Job) -> None:
        """Ends a job that has not started. Called by `Job.cancel`."""
        with self._lock:
            was_waiting = self._queue.remove(job)
        if was_waiting:
            job.fail(cancelled(job.environment_id))

    def fill_places(self) -> None:
        """Starts builds while there is room. One that only waits for another process takes none."""
        with self._lock:
            while len(self._queue) and self._at_work() < self._max_builds and not self._is_closed:
                self._start(self._queue.pop())

    def _at_work(self) -> int:
        return sum(1 for job in self._running if not job.is_elsewhere)

    @contextmanager
    def pypi_turn(self, job: Job) -> Iterator[None]:
        """See `Report.pypi_turn`; across processes too, since they share the cache."""
        try:
            lock = pypi_lock(self.store)
            acquired = lock.try_acquire()
            before = job.snapshot()
            while not acquired:
                job.report_phase(Phase.WAITING, "another build installs from PyPI")
                if job.cancel_asked:
                    raise cancelled(job.environment_id)
                acquired = lock.try_acquire(0.2)
        except OSError as error:
            raise disk_error(error, "Waiting for the turn at PyPI", self.store.locks_dir) from error
        try:
            if before.phase is not None:
                job.report_phase(before.phase, before.text)
            yield
        finally:
            lock.release()

    def _finish_at_once(self, job: Job) -> bool:
        try:
            if not is_sound(self.store.environment(job.environment_id)):
                return False
        except BuildError as error:
            job.fail(error)
            return True
        job.complete()
        return True

    def _start(self, job: Job) -> None:
        # Daemon: ComfyUI must be able to exit while pip's slow mirror keeps us waiting; children die with us.
        thread = threading.Thread(
            target=self._run, args=(job,), name=f"build {job.environment_id}", daemon=True
        )
        self._running[job] = thread
        thread.start()

    def _run(self, job: Job) -> None:
        try:
            job.run(self._choose_engine)
        finally:
            with self._lock:
                del self._running[job]
            self.fill_places()
