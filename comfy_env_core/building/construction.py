"""The steps from a plan to a done environment, in order. `jobs` runs this in a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Iterator

import comfy_env_core
from comfy_env_core.building.engines.contract import BuiltEnvironment, Engine
from comfy_env_core.building.errors import BuildCause, BuildError, disk_error
from comfy_env_core.building.install_log import InstallLog, utc_now
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.building.verification import verify
from comfy_env_core.environments.atomic import remove_trash, remove_tree, write_atomically
from comfy_env_core.environments.generations import drop_previous, put_back, set_aside
from comfy_env_core.environments.inventory import discard_done
from comfy_env_core.environments.locks import ProcessLock, build_lock
from comfy_env_core.environments.meta import DamagedMeta, Meta, MetaPackage, write_meta
from comfy_env_core.environments.states import EnvironmentState
from comfy_env_core.environments.store import Store, Workspace

log = logging.getLogger("comfy-env.building")

#: Below this an engine cannot even unpack an interpreter; how much more a build wants nobody knows beforehand.
MIN_FREE_BYTES = 300 * 2**20

_POLL_S = 0.2

#: Directories of a workspace that an engine fills; without `.done` they are worth nothing and may be half written.
_ENGINE_DIRECTORIES = (".pixi",)


class Construction:
    """One attempt at one environment. `move` is told each state, `attach_log` gets the log once it is open."""

    def __init__(
        self,
        plan: BuildPlan,
        store: Store,
        choose_engine: Callable[[Report], Engine],
        report: Report,
        move: Callable[[EnvironmentState], None],
        attach_log: Callable[[InstallLog], None],
        *,
        rebuild: bool = False,
    ) -> None:
        self.plan = plan
        self.store = store
        self.workspace = store.workspace(plan.environment_id)
        self._choose_engine = choose_engine
        self._report = report
        self._move = move
        self._attach_log = attach_log
        self._rebuild = rebuild

    def run(self) -> None:
        """Returns when the environment is done, whoever built it; moving to DONE is the caller's, after the links.

        Raises BuildError for everything that goes wrong; the half-built prefix is gone by then (kept for a look inside
        after a failed import), and the log ends with the outcome.
        """
        with _disk_errors("Creating the environment", self.workspace):
            self.workspace.directory.mkdir(parents=True, exist_ok=True)
            lock = build_lock(self.store, self.plan.environment_id)
        self._acquire(lock)
        try:
            with _disk_errors("Putting the earlier environment back", self.workspace):
                put_back(self.workspace)  # a rebuild was killed
            # Another process may have finished the same environment while we waited.
            if not is_sound(self.workspace):
                self._build_logged()
            elif self._rebuild:
                self._rebuild_logged()
        finally:
            lock.release()

    def _acquire(self, lock: ProcessLock) -> None:
        with _disk_errors("Locking the environment", self.workspace):
            acquired = lock.try_acquire()
            while not acquired:
                holder = lock.holder()
                by = f" (process {holder})" if holder else ""
                self._report.phase(Phase.WAITING, f"another process{by} builds this environment")
                self._report.check()
                acquired = lock.try_acquire(_POLL_S)

    def _rebuild_logged(self) -> None:
        """Builds anew; the environment that worked is back in its place if that fails."""
        with _disk_errors("Setting the earlier environment aside", self.workspace):
            set_aside(self.workspace)
        try:
            self._build_logged()
        except BaseException:
            with _disk_errors("Putting the earlier environment back", self.workspace):
                put_back(self.workspace)
            raise
        with _disk_errors("Removing the earlier environment", self.workspace):
            drop_previous(self.workspace)

    def _build_logged(self) -> None:
        """Builds under the lock, with the log around it."""
        self._move(EnvironmentState.BUILDING)
        started = time.monotonic()
        with _disk_errors("Writing the log", self.workspace):
            install_log = InstallLog(self.workspace.log_path, _header(self.plan))
        self._attach_log(install_log)
        try:
            self._build(started)
        except BaseException as error:
            seconds = time.monotonic() - started
            install_log.close(f"FAILED after {seconds:.1f} s: {error}")
            if not (isinstance(error, BuildError) and error.cause is BuildCause.IMPORT_FAILED):
                self._clean_up()
            raise
        install_log.close(f"done after {time.monotonic() - started:.1f} s")

    def _build(self, started: float) -> None:
        with _disk_errors("Removing what an interrupted build left", self.workspace):
            wipe(self.workspace)
        _check_free_space(self.store, self.workspace)
        self._report.check()
        self._report.phase(Phase.RESOLVING, "choosing the engine")
        engine = self._choose_engine(self._report)
        self._report.log(f"engine: {engine.name} {engine.version}")
        with _disk_errors("Filling the environment", self.workspace):
            # Private, because index URLs may hold credentials.
            write_atomically(self.workspace.manifest_path, self.plan.manifest().encode(), mode=0o600)
            built = engine.provision(self.plan, self.workspace, self._report)
        self._report.check()
        self._move(EnvironmentState.VERIFYING)
        verify(built, self.plan, self._report)
        self._report.check()
        if not self.workspace.python.exists():
            raise BuildError(
                BuildCause.INTERNAL,
                f"The engine {built.engine!r} put the interpreter at {str(built.python)!r}, not at "
                f"{str(self.workspace.python)!r} where workers look for it.",
                "Please report it with the log.",
            )
        with _disk_errors("Recording the build", self.workspace):
            write_meta(self.workspace.meta_path, _meta(self.plan, built, time.monotonic() - started))
            write_atomically(self.workspace.done_path, b"")

    def _clean_up(self) -> None:
        """Gives the room back at once; whatever resists is wiped by the next build."""
        try:
            wipe(self.workspace)
        except OSError as error:
            log.warning("Removing the half-built %s failed: %s", self.workspace.prefix, error)


def is_sound(workspace: Workspace) -> bool:
    """Done, with a record and an interpreter as proof. One without loses its `.done`, so that it is built again."""
    if not workspace.is_done():
        return False
    try:
        meta = workspace.read_meta()
    except DamagedMeta as error:
        log.warning("Environment %s is built again: %s", workspace.id, error)
    else:
        if meta.environment_id == workspace.id and workspace.python.exists():
            return True
        log.warning(
            "Environment %s is built again: its interpreter is gone or its record is another's.", workspace.id
        )
    try:
        discard_done(workspace)
    except OSError as error:
        raise disk_error(error, "Repairing the environment", workspace.directory) from error
    return False


def wipe(workspace: Workspace) -> None:
    """Removes what engines put there: an install over a half-written package can report success and not import.

    Raises OSError, and ValueError for a workspace that is done.
    """
    if workspace.is_done():
        raise ValueError(f"Environment {workspace.id!r} is done and is not wiped.")
    workspace.meta_path.unlink(missing_ok=True)
    for name in _ENGINE_DIRECTORIES:
        remove_tree(workspace.directory / name)
    remove_trash(workspace.directory)


@contextlib.contextmanager
def _disk_errors(attempted: str, workspace: Workspace) -> Iterator[None]:
    """Turns what the disk refuses into a BuildError with a cause and a remedy."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, attempted, workspace.directory) from error


def _check_free_space(store: Store, workspace: Workspace) -> None:
    try:
        free = shutil.disk_usage(store.root).free
    except OSError as error:
        raise disk_error(error, "Measuring the free space", workspace.directory) from error
    if free < MIN_FREE_BYTES:
        raise BuildError(
            BuildCause.DISK_FULL,
            f"The disk of {str(store.root)!r} has {free // 2**20} MB left; an environment needs at least "
            f"{MIN_FREE_BYTES // 2**20} MB, with torch several GB.",
            "Free some disk space, or set COMFY_ENV_ROOT to a directory on a larger disk, then build again.",
        )


def _header(plan: BuildPlan) -> tuple[str, ...]:
    return (
        f"comfy-env manager {comfy_env_core.__version__}: building environment {plan.environment_id}",
        f"from {plan.spec.path}",
        f"started {utc_now()}",
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
    )
