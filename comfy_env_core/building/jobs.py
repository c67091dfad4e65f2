"""Builds under way: who asked, how far they are, how to stop them.

A `Job` is one build of one environment, run in a thread of its own. Whoever asks for an environment that is being built
joins its job. Listeners get a frozen `JobSnapshot` at every change and once a second, from one thread, in order.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from comfy_env_core.building.announcements import Announcer
from comfy_env_core.building.construction import Construction, is_sound
from comfy_env_core.building.engines.contract import Engine
from comfy_env_core.building.errors import BuildCause, BuildError, disk_error
from comfy_env_core.building.install_log import InstallLog
from comfy_env_core.building.job_snapshot import JobSnapshot
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.environments.links import link
from comfy_env_core.environments.locks import pypi_lock
from comfy_env_core.environments.states import ENVIRONMENT_MOVES, EnvironmentState
from comfy_env_core.environments.store import Store

log = logging.getLogger("comfy-env.building")

#: Builds at once in this process: more would fight for the disk and for memory while wheels are unpacked.
MAX_BUILDS = 2

__all__ = ["Builder", "Job", "JobReport", "JobSnapshot"]


class Job:
    """One build. Made by `Builder.submit`; every method may be called from any thread."""

    def __init__(
        self, plan: BuildPlan, builder: Builder, priority: int, previous: EnvironmentState, *, rebuild: bool
    ) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.plan = plan
        self.priority = priority
        self._builder = builder
        self._rebuild = rebuild
        self._lock = threading.RLock()
        self._cancel = threading.Event()
        self._ended = threading.Event()
        self._install_log: InstallLog | None = None
        self._clock = time.monotonic()
        self._snapshot = JobSnapshot(
            id=self.id,
            environment_id=plan.environment_id,
            state=ENVIRONMENT_MOVES.move(previous, EnvironmentState.QUEUED),
            phase=None,
            text="",
            packages_done=0,
            packages_total=0,
            started_at=time.time(),
            elapsed_s=0.0,
            error=None,
            log_path=builder.store.environment(plan.environment_id).log_path,
        )

    @property
    def environment_id(self) -> str:
        return self.plan.environment_id

    def snapshot(self) -> JobSnapshot:
        """How it stands right now."""
        with self._lock:
            if self._snapshot.has_ended:
                return self._snapshot
            return dataclasses.replace(self._snapshot, elapsed_s=time.monotonic() - self._clock)

    def wait(self, timeout_s: float | None = None) -> JobSnapshot:
        """Waits for the end, or for `timeout_s`; look at `has_ended`. Listeners have heard of the end by then."""
        self._ended.wait(timeout_s)
        return self.snapshot()

    def cancel(self) -> None:
        """Stops the build and everything that runs for it. Returns at once; `wait` for the end."""
        self._cancel.set()
        self._builder.drop_if_queued(self)

    def add_sites(self, site_dirs: Sequence[Path]) -> bool:
        """Directories to link when it is done. False when it has ended: submit the plan again."""
        with self._lock:
            if self._snapshot.has_ended:
                return False
            self._change(site_dirs=tuple(dict.fromkeys((*self._snapshot.site_dirs, *site_dirs))))
            return True

    # What follows is for the builder and for the report.

    @property
    def cancel_asked(self) -> bool:
        return self._cancel.is_set()

    def move(self, state: EnvironmentState) -> None:
        """The one place where the state changes."""
        with self._lock:
            self._change(state=ENVIRONMENT_MOVES.move(self._snapshot.state, state))

    def run(self, choose_engine: Callable[[Report], Engine]) -> None:
        """Builds; never raises. The job has ended when this returns."""
        construction = Construction(
            self.plan,
            self._builder.store,
            choose_engine,
            JobReport(self),
            self.move,
            self._attach_log,
            rebuild=self._rebuild,
        )
        try:
            construction.run()
        except BuildError as error:
            self.fail(error)
        except Exception as error:  # the boundary of the thread: a mistake of ours must end as a failed job
            log.exception("Building environment %s failed unexpectedly", self.environment_id)
            self.fail(_internal(error))
        else:
            self.complete()

    def complete(self) -> None:
        """Links, then moves to DONE: whoever hears of it finds the link."""
        environment = self._builder.store.environment(self.environment_id)
        linked: dict[Path, str | None] = {}
        while not self._complete_if_linked(linked):
            for directory in self._snapshot.site_dirs:
                if directory not in linked:
                    linked[directory] = link(directory, environment)

    def _complete_if_linked(self, linked: Mapping[Path, str | None]) -> bool:
        """False when a directory was added in the meantime."""
        with self._lock:
            if not linked.keys() >= set(self._snapshot.site_dirs):
                return False
            unlinked = tuple((directory, reason) for directory, reason in linked.items() if reason)
            for _, reason in unlinked:
                log.info("%s", reason)
                self.write_log(reason)
            state = ENVIRONMENT_MOVES.move(self._snapshot.state, EnvironmentState.DONE)
            self._change(state=state, unlinked=unlinked, text="", phase=None)
            return True

    def fail(self, error: BuildError) -> None:
        """Ends the job as failed, or as cancelled when that is what the error says."""
        cancelled = error.cause is BuildCause.CANCELLED
        state = EnvironmentState.CANCELLED if cancelled else EnvironmentState.FAILED
        if self._install_log is not None:
            error = error.with_log(self._install_log.path, self._install_log.tail()[-20:])
        log.debug(
            "Environment %s could not be built: %s", self.environment_id, error
        )  # listeners tell people
        with self._lock:
            self._change(state=ENVIRONMENT_MOVES.move(self._snapshot.state, state), error=error)

    def mark_heard(self) -> None:
        """Called by the announcer when every listener has got the last snapshot."""
        self._ended.set()

    def report_phase(self, phase: Phase, text: str) -> None:
        with self._lock:
            if (phase, text) != (self._snapshot.phase, self._snapshot.text):
                self.write_log(f"{phase.value}: {text}" if text else phase.value)
                self._change(phase=phase, text=text)

    def report_packages(self, done: int, total: int) -> None:
        with self._lock:
            if (done, total) != (self._snapshot.packages_done, self._snapshot.packages_total):
                self._change(packages_done=done, packages_total=total)

    def write_log(self, line: str) -> None:
        if self._install_log is not None:
            self._install_log.line(line)

    def pypi_turn(self) -> AbstractContextManager[None]:
        return self._builder.pypi_turn(self)

    def _attach_log(self, install_log: InstallLog) -> None:
        self._install_log = install_log

    def _change(self, **fields: Any) -> None:  # Any: fields of JobSnapshot
        with self._lock:
            elapsed_s = time.monotonic() - self._clock
            self._snapshot = dataclasses.replace(self._snapshot, elapsed_s=elapsed_s, **fields)
            # Under the lock, so that snapshots are queued in the order in which they came about.
            self._builder.announcer.put(self, self._snapshot)


class JobReport:
    """The `Report` of one job: everything goes to its snapshot and its log."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def phase(self, phase: Phase, text: str = "") -> None:
        self._job.report_phase(phase, text)

    def packages(self, done: int, total: int) -> None:
        self._job.report_packages(done, total)

    def log(self, line: str) -> None:
        self._job.write_log(line)

    def check(self) -> None:
        if self._job.cancel_asked:
            raise _cancelled(self._job.environment_id)

    def pypi_turn(self) -> AbstractContextManager[None]:
        return self._job.pypi_turn()


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
        self._order = itertools.count()
        self._queue: list[tuple[int, int, Job]] = []
        self._running: dict[Job, threading.Thread] = {}
        self._latest: dict[str, Job] = {}
        self._is_closed = False

    def submit(
        self, plan: BuildPlan, site_dirs: Sequence[Path] = (), priority: int = 0, *, rebuild: bool = False
    ) -> Job:
        """The job that builds this plan: the one under way, or a new one. Higher priorities start first.

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
                return latest
            previous = latest.snapshot().state if latest else EnvironmentState.MISSING
            job = Job(plan, self, priority, previous, rebuild=rebuild)
            self._latest[plan.environment_id] = job
            job.add_sites(site_dirs)
            if rebuild or not self._finish_at_once(job):
                self._queue.append((-priority, next(self._order), job))
                self._start_next()
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
            jobs, threads = [job for _, _, job in self._queue], dict(self._running)
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
            waiting = [entry for entry in self._queue if entry[2] is job]
            for entry in waiting:
                self._queue.remove(entry)
        if waiting:
            job.fail(_cancelled(job.environment_id))

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
                    raise _cancelled(job.environment_id)
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

    def _start_next(self) -> None:
        with self._lock:
            while self._queue and len(self._running) < self._max_builds and not self._is_closed:
                entry = min(self._queue, key=lambda entry: entry[:2])
                self._queue.remove(entry)
                self._start(entry[2])

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
            self._start_next()


def _cancelled(environment_id: str) -> BuildError:
    return BuildError(
        BuildCause.CANCELLED,
        f"Building environment {environment_id!r} was cancelled.",
        "Build it again when you want it.",
    )


def _internal(error: Exception) -> BuildError:
    built = BuildError(
        BuildCause.INTERNAL,
        f"Building failed because of a mistake in comfy-env manager: {type(error).__name__}: {error}.",
        "Please report it with the log of ComfyUI.",
    )
    built.__cause__ = error
    return built
