"""The steps from a plan to a done environment, in order. `jobs` runs this in a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

import comfy_env_core
from comfy_env_core.building.bytecode import share_bytecode
from comfy_env_core.building.disk_space import check_before
from comfy_env_core.building.engines.contract import BuiltEnvironment, Engine
from comfy_env_core.building.errors import BuildCause, BuildError, DamagedFiles, disk_error
from comfy_env_core.building.install_log import InstallLog, failure, utc_now
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.building.retries import provision
from comfy_env_core.building.running_job import read_running_job
from comfy_env_core.building.store_place import check_place
from comfy_env_core.building.verification import verify
from comfy_env_core.environments.atomic import remove_tree, write_atomically
from comfy_env_core.environments.locks import ProcessLock, build_lock
from comfy_env_core.environments.meta import DamagedMeta, Meta, MetaPackage, write_meta
from comfy_env_core.environments.removal import sweep
from comfy_env_core.environments.states import EnvironmentState
from comfy_env_core.environments.store import Environment, Store, Workspace

log = logging.getLogger("comfy-env.building")

_POLL_S = 0.2


class Construction:
    """One attempt at one environment. `move` is told each state, `attach_log` gets the log once it is open.

    `published` is entered while the environment's lock is held.
    """

    def __init__(
        self,
        plan: BuildPlan,
        store: Store,
        choose_engine: Callable[[Report], Engine],
        report: Report,
        move: Callable[[EnvironmentState], None],
        attach_log: Callable[[InstallLog], None],
        published: Callable[[], contextlib.AbstractContextManager[None]],
        *,
        rebuild: bool = False,
    ) -> None:
        self.plan = plan
        self.store = store
        self.environment = store.environment(plan.environment_id)
        self._choose_engine = choose_engine
        self._report = report
        self._move = move
        self._attach_log = attach_log
        self._published = published
        self._replaced = self.environment.current() if rebuild else None

    def run(self) -> None:
        """Returns when the environment is done, whoever built it; moving to DONE is the caller's, after the links.

        Raises BuildError for everything that goes wrong; the generation that was begun is gone by then (kept for a look
        inside after a failed import), the one that served before goes on serving, and the log ends with the outcome.
        """
        with _disk_errors("Creating the environment", self.environment):
            self.environment.directory.mkdir(parents=True, exist_ok=True)
            lock = build_lock(self.store, self.plan.environment_id)
        self._acquire(lock)
        try:
            with _disk_errors("Looking after what earlier builds left", self.environment):
                self.environment.recover()
            # Another process may have built the same environment while we waited.
            if not is_sound(self.environment) or self.environment.current() == self._replaced:
                with self._published():
                    self._build_logged()
        finally:
            lock.release()

    def _acquire(self, lock: ProcessLock) -> None:
        with _disk_errors("Locking the environment", self.environment):
            acquired = lock.try_acquire()
            while not acquired:
                self._report_other(lock.holder())
                self._report.check()
                acquired = lock.try_acquire(_POLL_S)

    def _report_other(self, holder: int | None) -> None:
        """Shows how far the process is that holds the lock."""
        by = f" (process {holder})" if holder else ""
        running = read_running_job(self.environment)
        doing = f": {running.phase}" if running is not None and running.phase is not None else ""
        if running is not None and running.text:
            doing += f", {running.text}"
        self._report.phase(Phase.WAITING, f"another process{by} builds this environment{doing}")
        self._report.percent(running.percent if running is not None else None)

    def _build_logged(self) -> None:
        """Builds under the lock, with the log around it."""
        self._move(EnvironmentState.BUILDING)
        started = time.monotonic()
        with _disk_errors("Writing the log", self.environment):
            install_log = InstallLog(self.environment.log_path, _header(self.plan))
        self._attach_log(install_log)
        try:
            self._build(started)
        except BaseException as error:
            install_log.close(failure(time.monotonic() - started, error))
            raise
        install_log.close(f"done after {time.monotonic() - started:.1f} s")

    def _build(self, started: float) -> None:
        with _disk_errors("Beginning a new generation", self.environment):
            sweep(self.environment)
            workspace = self.environment.begin_generation()
        try:
            self._fill(workspace, started)
        except BaseException as error:
            if not (isinstance(error, BuildError) and error.cause is BuildCause.IMPORT_FAILED):
                _discard(workspace)
            raise
        with _disk_errors("Switching to the new generation", self.environment):
            self.environment.switch_to(workspace)
            sweep(self.environment)

    def _fill(self, workspace: Workspace, started: float) -> None:
        """Leaves `workspace` done: filled, verified and recorded."""
        check_place(self.store.root, workspace.prefix, self._report)
        check_before(self.environment)
        self._report.check()
        self._report.phase(Phase.RESOLVING, "choosing the engine")
        engine = self._choose_engine(self._report)
        self._report.log(f"engine: {engine.name} {engine.version}")
        with _disk_errors("Filling the environment", self.environment):
            # Private, because index URLs may hold credentials.
            write_atomically(workspace.manifest_path, self.plan.manifest().encode(), mode=0o600)
            built = provision(engine, self.plan, workspace, self._report)
        self._report.check()
        self._move(EnvironmentState.VERIFYING)
        try:
            verify(built, self.plan, self._report)
        except DamagedFiles as error:
            built = self._fill_anew(engine, workspace, error)
        self._report.check()
        try:
            share_bytecode(workspace.prefix, self.store.cache_dir)
        except OSError as error:  # another build cleans the cache; the environment is as good without
            self._report.log(f"its bytecode is not shared: {error}")
        if not workspace.python.exists():
            raise BuildError(
                BuildCause.INTERNAL,
                f"The engine {built.engine!r} put the interpreter at {str(built.python)!r}, not at "
                f"{str(workspace.python)!r} where workers look for it.",
                "Please report it with the log.",
            )
        with _disk_errors("Recording the build", self.environment):
            write_meta(workspace.meta_path, _meta(self.plan, built, time.monotonic() - started))
            write_atomically(workspace.done_path, b"")

    def _fill_anew(self, engine: Engine, workspace: Workspace, error: DamagedFiles) -> BuiltEnvironment:
        """Once more without what the caches hold of the damaged packages."""
        self._report.log(f"{error.message} They are fetched anew.")
        self._move(EnvironmentState.BUILDING)
        with _disk_errors("Filling the environment anew", self.environment):
            engine.forget(error.names, self._report)
            remove_tree(workspace.prefix)
            built = provision(engine, self.plan, workspace, self._report)
        self._move(EnvironmentState.VERIFYING)
        verify(built, self.plan, self._report)
        return built


def _discard(workspace: Workspace) -> None:
    """Gives the room of a failed build back at once; whatever resists is swept by the next build."""
    try:
        remove_tree(workspace.directory)
    except OSError as error:
        log.warning("Removing the half-built %s failed: %s", workspace.directory, error)


def is_sound(environment: Environment) -> bool:
    """Done, with a record and an interpreter as proof. A current generation without is discarded, to be built again."""
    workspace = environment.current()
    if workspace is None:
        return False
    try:
        meta = workspace.read_meta()
    except DamagedMeta as error:
        log.warning("Environment %s is built again: %s", environment.id, error)
    else:
        if meta.environment_id == environment.id and workspace.python.exists():
            return True
        log.warning(
            "Environment %s is built again: its interpreter is gone or its record is another's.",
            environment.id,
        )
    try:
        workspace.discard_done()
    except OSError as error:
        raise disk_error(error, "Repairing the environment", environment.directory) from error
    return False


@contextlib.contextmanager
def _disk_errors(attempted: str, environment: Environment) -> Iterator[None]:
    """Turns what the disk refuses into a BuildError with a cause and a remedy."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, attempted, environment.directory) from error


def _header(plan: BuildPlan) -> tuple[str, ...]:
    # No two logs begin with the same line: whoever follows one notices the next build by it.
    title = f"comfy-env manager {comfy_env_core.__version__}: building environment {plan.environment_id}"
    return (
        f"{title}, started {utc_now()}",
        f"from {plan.spec.path}",
        f"facts: {', '.join(plan.facts)}",
        *(f"note: {note}" for note in plan.notes),
    )


def _meta(plan: BuildPlan, built: BuiltEnvironment, duration_s: float) -> Meta:
    return Meta(
        environment_id=plan.environment_id,
        engine=built.engine,
        engine_version=built.engine_version,
        python_version=built.python_version,
        packages=tuple(
            MetaPackage(package.name, package.version, package.source) for package in built.packages
        ),
        config_path=str(plan.spec.path),
        facts=plan.facts,
        built_at=utc_now(),
        duration_s=round(duration_s, 2),
        manager_version=comfy_env_core.__version__,
        left_out=plan.skipped,
    )
