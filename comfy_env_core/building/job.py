"""One build of one environment: how far it is, how to stop it, and the report that its steps speak to."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_env_core.building.construction import Construction
from comfy_env_core.building.engines.contract import Engine
from comfy_env_core.building.errors import BuildCause, BuildError, internal_error
from comfy_env_core.building.install_log import InstallLog
from comfy_env_core.building.job_snapshot import JobSnapshot
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.building.running_job import JobFile
from comfy_env_core.environments.links import link
from comfy_env_core.environments.states import ENVIRONMENT_MOVES, EnvironmentState

if TYPE_CHECKING:  # jobs.py imports this module
    from comfy_env_core.building.jobs import Builder

log = logging.getLogger("comfy-env.building")


class Job:
    """One build. Made by `Builder.submit`; every method may be called from any thread."""

    def __init__(
        self, plan: BuildPlan, builder: Builder, priority: int, previous: EnvironmentState, *, rebuild: bool
    ) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.plan = plan
        self._builder = builder
        self._rebuild = rebuild
        self._lock = threading.RLock()
        self._cancel = threading.Event()
        self._ended = threading.Event()
        self._install_log: InstallLog | None = None
        self._file = JobFile(builder.store.environment(plan.environment_id), self.id)
        self._clock = self._heard_at = time.monotonic()
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
            priority=priority,
        )

    @property
    def environment_id(self) -> str:
        return self.plan.environment_id

    def snapshot(self) -> JobSnapshot:
        """How it stands right now."""
        with self._lock:
            if self._snapshot.has_ended:
                return self._snapshot
            now = time.monotonic()
            return dataclasses.replace(
                self._snapshot, elapsed_s=now - self._clock, quiet_s=now - self._heard_at
            )

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
        return self._cancel.is_set() or self._file.is_cancel_asked()

    @property
    def priority(self) -> int:
        return self._snapshot.priority

    @property
    def is_elsewhere(self) -> bool:
        """Whether it only waits for another process that builds the same."""
        snapshot = self._snapshot
        return snapshot.state is EnvironmentState.QUEUED and snapshot.phase is Phase.WAITING

    def place(self, position: int, priority: int) -> None:
        """Where it stands in the queue: 1 is the next to start, 0 is not in it any more."""
        with self._lock:
            if (position, priority) != (self._snapshot.position, self._snapshot.priority):
                self._change(position=position, priority=priority)

    def publish(self, snapshot: JobSnapshot) -> None:
        """Tells other processes. Called by the announcer, before listeners hear."""
        self._file.write(snapshot)

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
            self._published,
            rebuild=self._rebuild,
        )
        try:
            construction.run()
        except BuildError as error:
            self.fail(error)
        except Exception as error:  # the boundary of the thread: a mistake of ours must end as a failed job
            log.exception("Building environment %s failed unexpectedly", self.environment_id)
            self.fail(internal_error(error))
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
            self._change(state=state, unlinked=unlinked, text="", phase=None, percent=None)
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
            if (phase, text) == (self._snapshot.phase, self._snapshot.text):
                return
            self.write_log(f"{phase.value}: {text}" if text else phase.value)
            is_new = phase is not self._snapshot.phase
            percent = None if is_new else self._snapshot.percent
            self._change(phase=phase, text=text, percent=percent)
        if is_new and self.is_elsewhere:
            self._builder.fill_places()

    def report_packages(self, done: int, total: int) -> None:
        with self._lock:
            if (done, total) != (self._snapshot.packages_done, self._snapshot.packages_total):
                percent = 100 * done / total if total else None
                self._change(packages_done=done, packages_total=total, percent=percent)

    def report_percent(self, percent: float | None) -> None:
        with self._lock:
            if percent != self._snapshot.percent:
                self._change(percent=percent)

    def write_log(self, line: str) -> None:
        self._heard_at = time.monotonic()
        if self._install_log is not None:
            self._install_log.line(line)

    def pypi_turn(self) -> AbstractContextManager[None]:
        return self._builder.pypi_turn(self)

    def _attach_log(self, install_log: InstallLog) -> None:
        self._install_log = install_log

    @contextmanager
    def _published(self) -> Iterator[None]:
        """Held while we hold the environment's lock: other processes see the build, and can ask for its end."""
        self._file.open()
        self._file.write(self.snapshot())
        try:
            yield
        finally:
            self._file.close()

    def _change(self, **fields: Any) -> None:  # Any: fields of JobSnapshot
        with self._lock:
            self._heard_at = time.monotonic()
            elapsed_s = self._heard_at - self._clock
            self._snapshot = dataclasses.replace(self._snapshot, elapsed_s=elapsed_s, quiet_s=0.0, **fields)
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

    def percent(self, value: float | None) -> None:
        self._job.report_percent(value)

    def log(self, line: str) -> None:
        self._job.write_log(line)

    def check(self) -> None:
        if self._job.cancel_asked:
            raise cancelled(self._job.environment_id)

    def pypi_turn(self) -> AbstractContextManager[None]:
        return self._job.pypi_turn()


def cancelled(environment_id: str) -> BuildError:
    return BuildError(BuildCause.CANCELLED, f"Building environment {environment_id!r} was cancelled.")
