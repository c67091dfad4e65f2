"""A site's way from a file to nodes that can be called: assessed, built, described by a worker, remembered."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_env_core.building.errors import BuildError, internal_error
from comfy_env_core.config import ConfigError, HostNeed
from comfy_env_core.discovery import Site, read_site, source_fingerprint
from comfy_env_core.environments.states import SiteState
from comfy_env_core.environments.store import Store, Workspace
from comfy_env_core.sites.failure import SiteFailure, failure_of
from comfy_env_core.sites.planning import Planner
from comfy_env_core.sites.record import SiteRecord, read_record, record_path, write_record
from comfy_env_core.sites.runtime import SiteRuntime
from comfy_env_core.sites.workers import SiteWorkers

if TYPE_CHECKING:
    from comfy_env_core.building.jobs import Builder, Job
    from comfy_env_core.building.plan import BuildPlan

log = logging.getLogger("comfy-env")

#: Sites under way at once. Nearly all of them wait for a build, and the queue of builds should know all it could start.
_AT_ONCE = 256
#: Reading sources is work for the processor, and ComfyUI's event loop has to get its share.
_PLANNED_AT_ONCE = 2
#: Each is a process that imports a pack.
_DESCRIBED_AT_ONCE = 8


class Preparation:
    """Owns its threads, and the builder, which is made for the first build.

    `nested`: the other sites inside of one. `tell`: told of every site that changed, from whatever thread. `may_build`:
    whether environments that are missing are built.
    """

    def __init__(
        self,
        store: Store,
        planner: Planner,
        workers: SiteWorkers,
        nested: Callable[[Site], Collection[Path]],
        make_builder: Callable[[], Builder],
        tell: Callable[[SiteRuntime], None],
        *,
        may_build: bool,
        import_timeout_s: float,
    ) -> None:
        self._store = store
        self._planner = planner
        self._workers = workers
        self._nested = nested
        self._make_builder = make_builder
        self._tell = tell
        self._may_build = may_build
        self._import_timeout_s = import_timeout_s
        self._lock = threading.Lock()
        self._preparing: set[str] = set()
        self._has_begun = False
        self._is_closed = False
        self._workers_allowed = threading.Event()
        self._executor = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="comfy-env-site")
        self._planning = threading.Semaphore(_PLANNED_AT_ONCE)
        self._describing = threading.Semaphore(_DESCRIBED_AT_ONCE)
        self._made_builder: Builder | None = None

    def begin(self, runtimes: Iterable[SiteRuntime]) -> None:
        """Prepares what is not ready, and from now on whatever `later` is called for."""
        with self._lock:
            self._has_begun = True
        for runtime in runtimes:
            if not runtime.is_complete():
                self.later(runtime)

    def allow_workers(self) -> None:
        """Sites are described from now on."""
        self._workers_allowed.set()

    def jobs(self) -> Sequence[Job]:
        """The builds so far."""
        return self._made_builder.jobs() if self._made_builder is not None else ()

    @property
    def builder(self) -> Builder:
        """Made when it is first asked for. Raises RuntimeError after `stop_building`."""
        with self._lock:
            if self._made_builder is None:
                if self._is_closed:
                    raise RuntimeError("comfy-env manager is shutting down; nothing is built any more.")
                self._made_builder = self._make_builder()
            return self._made_builder

    def stop_building(self) -> None:
        """Cancels builds; nothing is begun any more."""
        with self._lock:
            self._is_closed = True
            builder = self._made_builder
        if builder is not None:
            builder.shutdown()
        self._workers_allowed.set()

    def shutdown(self) -> None:
        """Ends the threads, once nothing that they wait for is running."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def assess(self, runtime: SiteRuntime) -> None:
        """Finds out without work what is known: ready from the last time, serving an older environment, or nothing."""
        site = runtime.site
        runtime.record = record = read_record(self._record_path(runtime))
        if record is not None:
            runtime.serving = self._store.environment(record.environment_id).current()
            runtime.host_need = HostNeed(record.host_need)
        if site.error is not None:
            self._move(runtime, SiteState.FAILED, failure_of(site.error, site.config_path))
            return
        runtime.source = source_fingerprint(site, self._nested(site))
        runtime.plan_key = self._planner.plan_key(site, runtime.source, runtime.host_need)
        if record is not None and record.plan_key == runtime.plan_key:
            runtime.environment = self._store.environment(record.environment_id)
        is_known = runtime.was_described_in(runtime.serving) and runtime.has_described_all()
        if runtime.environment is not None and is_known:
            self._move(runtime, SiteState.READY)
        elif runtime.serving is not None:
            self._move(runtime, SiteState.STALE)

    def later(self, runtime: SiteRuntime) -> None:
        """Builds and describes the site on a thread of ours, if that has begun; a failed one stays as it is."""
        if runtime.state is SiteState.FAILED:
            return
        if not self._may_build and not self._is_built(runtime):
            log.warning(
                "%s: not built, and COMFY_ENV_BUILD=off; run install.py or choose another value.", runtime.id
            )
            return
        with self._lock:
            if not self._has_begun or runtime.id in self._preparing:
                return
            self._preparing.add(runtime.id)
        self._executor.submit(self._prepare, runtime, 0)

    def again(self, runtime: SiteRuntime, priority: int) -> None:
        """Builds and describes the site by what its file says now, because somebody asked for it.

        Whether builds are off at start does not matter here. A build that waits is moved up by a higher priority, and
        nothing happens to a site that is ready. What goes wrong becomes the site's state.
        """
        with self._lock:
            is_under_way = runtime.id in self._preparing
            self._preparing.add(runtime.id)
        if is_under_way:
            environment_id = runtime.environment.id if runtime.environment is not None else None
            for job in self.jobs():
                if job.environment_id == environment_id:
                    self.builder.submit(job.plan, (), priority)
            return
        self.read_again(runtime)
        runtime.environment = None  # the file may ask for another by now
        if runtime.state is not SiteState.UNBUILT:
            self._move(runtime, SiteState.UNBUILT)
        self.assess(runtime)
        if runtime.state in (SiteState.READY, SiteState.FAILED):
            with self._lock:
                self._preparing.discard(runtime.id)
        else:
            self._executor.submit(self._prepare, runtime, priority)

    def read_again(self, runtime: SiteRuntime) -> None:
        """Takes over what the site's file says now."""
        runtime.site = read_site(runtime.site.pack, runtime.site.config_path)
        runtime.source = source_fingerprint(runtime.site, self._nested(runtime.site))

    def plan(self, runtime: SiteRuntime) -> BuildPlan:
        """What to build for the site, which knows its environment then. Raises BuildError or ConfigError."""
        site = runtime.site
        try:
            with self._planning:
                plan = self._planner.plan(site, self._nested(site))
        except (BuildError, ConfigError):
            raise
        except Exception as error:
            raise internal_error(error) from error  # or it would be told as the pack's own
        if plan.unused_lock is not None:
            log.warning("%s: %s", runtime.id, plan.unused_lock)
        runtime.environment = self._store.environment(plan.environment_id)
        runtime.host_need = plan.host_need
        runtime.plan_key = self._planner.plan_key(site, runtime.source, plan.host_need)
        return plan

    def remember_inputs(
        self, runtime: SiteRuntime, inputs: Mapping[tuple[str, str], Mapping[str, Any]]
    ) -> None:
        """Keeps for the next start what a worker says by now of the inputs of its nodes. Returns at once."""
        if runtime.record is not None and not self._is_closed:
            self._executor.submit(self._keep, runtime, runtime.record.with_inputs(inputs))

    def _prepare(self, runtime: SiteRuntime, priority: int) -> None:
        try:
            workspace = self._build(runtime, priority)
            if (
                runtime.record is not None
                and runtime.was_described_in(workspace)
                and runtime.has_described_all()
            ):
                runtime.adopt(runtime.record, workspace)  # the same environment, built once more
            while not self._is_finished(runtime):
                self._workers_allowed.wait()
                with self._describing:
                    self._describe(runtime, workspace)
        except Exception as error:  # noqa: BLE001  # this thread's boundary: every failure becomes the site's state
            self._keep_traceback(runtime, error)
            with self._lock:
                self._preparing.discard(runtime.id)
            failure = failure_of(error, self._workers.log_path(runtime), runtime.site.pack.path)
            self._move(runtime, SiteState.FAILED, failure)

    def _keep_traceback(self, runtime: SiteRuntime, error: Exception) -> None:
        """Adds the traceback, the worker's part of it included, to the site's log: the terminal gets one line."""
        log.debug("%s: preparing failed", runtime.id, exc_info=error)
        path = self._workers.log_path(runtime)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.writelines(traceback.format_exception(error))
        except OSError as problem:
            log.warning("%s: cannot write %s (%s)", runtime.id, path, problem, exc_info=error)

    def _build(self, runtime: SiteRuntime, priority: int) -> Workspace:
        """Leaves the site describing; what it is to be described in. Raises BuildError."""
        if not self._is_built(runtime):
            self._move(runtime, SiteState.BUILDING)
            plan = self.plan(runtime)
            self._tell(runtime)  # by now it is known which environment is being built
            error = self.builder.submit(plan, [runtime.site.directory], priority).wait().error
            if error is not None:
                raise error
        self._move(runtime, SiteState.DESCRIBING)
        assert runtime.environment is not None, "a site is planned before it is described"
        # Without one it was deleted a moment ago; the worker's start says so.
        return runtime.environment.current() or runtime.environment.generation(1)

    def _describe(self, runtime: SiteRuntime, workspace: Workspace) -> None:
        """Lets a worker in `workspace` import what the host wants, and remembers what it says."""
        runtime.source = source_fingerprint(runtime.site, self._nested(runtime.site))
        if workspace.is_done():
            # Also for a site whose import fails for want of them.
            runtime.left_out = workspace.read_meta().left_out
        limit_s = self._import_timeout_s
        descriptions = {
            module: self._workers.call(
                runtime, "describe", [module], workspace=workspace, timeout_s=limit_s
            ).result()
            for module in runtime.modules_to_describe()
        }
        meta = workspace.read_meta()
        record = SiteRecord(
            plan_key=runtime.plan_key,
            environment_id=workspace.environment_id,
            generation=workspace.number,
            host_need=runtime.host_need.value,
            python=meta.python_version,
            has_torch=any(package.name == "torch" for package in meta.packages),
            source=runtime.source,
            descriptions=descriptions,
            left_out=runtime.left_out,
        )
        runtime.adopt(record, workspace)
        self._keep(runtime, record)

    def _keep(self, runtime: SiteRuntime, record: SiteRecord) -> None:
        """For the next start; without what it lacks, that start asks again."""
        if record.lacks_inputs():
            return
        try:
            write_record(self._record_path(runtime), record)
        except OSError as error:
            log.warning(
                "%s: its description cannot be kept (%s); the next start makes it anew.", runtime.id, error
            )

    def _is_finished(self, runtime: SiteRuntime) -> bool:
        """Ends the preparing in one step with the check: a module that is wanted a moment later starts it again."""
        with self._lock:
            if not (runtime.was_described_in(runtime.serving) and runtime.has_described_all()):
                return False
            self._preparing.discard(runtime.id)
            runtime.move(SiteState.READY)
        self._tell(runtime)
        return True

    def _is_built(self, runtime: SiteRuntime) -> bool:
        return runtime.environment is not None and runtime.environment.is_done()

    def _record_path(self, runtime: SiteRuntime) -> Path:
        return record_path(self._store.descriptions_dir, runtime.site.directory)

    def _move(self, runtime: SiteRuntime, state: SiteState, failure: SiteFailure | None = None) -> None:
        runtime.move(state, failure)
        self._tell(runtime)
