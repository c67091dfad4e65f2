"""Ties the stages together: scan, choose environments, build what is missing, describe, run.

ComfyUI's hooks, the command line and the API talk to a `Manager` and to nothing below it.
"""

from __future__ import annotations

import dataclasses
import enum
import logging
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from comfy_env_core.config import HostNeed
from comfy_env_core.discovery import Scan, Site, source_fingerprint
from comfy_env_core.environments.states import SiteState
from comfy_env_core.environments.store import Store
from comfy_env_core.sites.codec_files import find_codec_files
from comfy_env_core.sites.failure import SiteFailure, failure_of
from comfy_env_core.sites.freshness import Change, Freshness
from comfy_env_core.sites.planning import Planner
from comfy_env_core.sites.record import SiteRecord, read_record, record_path, write_record
from comfy_env_core.sites.runtime import SiteRuntime, SiteStatus
from comfy_env_core.sites.workers import SiteWorkers

if TYPE_CHECKING:
    from comfy_env_core.building.jobs import Builder, JobSnapshot
    from comfy_env_core.supervision import WorkerCall, WorkerPool, WorkerSpec

log = logging.getLogger("comfy-env")

#: A pack's first import in a fresh environment compiles bytecode and may load gigabytes from a slow disk.
IMPORT_TIMEOUT_S = 180.0
#: Sites that are prepared at once. They mostly wait for builds, which have their own queue.
_PREPARING_AT_ONCE = 8


class BuildMode(enum.Enum):
    """`COMFY_ENV_BUILD`: what happens at start with an environment that is missing."""

    BACKGROUND = "background"
    BLOCKING = "blocking"  #: wait for it: for servers and CI
    OFF = "off"


class ManagerListener(Protocol):
    """Told of every change, from whatever thread made it. Must return quickly."""

    def on_job(self, job: JobSnapshot) -> None: ...

    def on_site(self, site: SiteStatus) -> None: ...


@dataclasses.dataclass(frozen=True)
class ManagerParts:
    """What a manager works with.

    - `make_builder`: makes the builder that tells its jobs to the function it is given. `make_pool`, `make_spec`: the
      worker pool and its `WorkerSpec`s. All three are called when they are first needed: a warm start needs none of
      them, and importing what they are made of would take longer than all the rest of it.
    - `module_name`: the name under which ComfyUI imports a pack's root.
    """

    store: Store
    planner: Planner
    make_builder: Callable[[Callable[[JobSnapshot], None]], Builder]
    make_pool: Callable[[], WorkerPool]
    make_spec: Callable[..., WorkerSpec]
    comfyui_source: Path | None
    module_name: Callable[[Path], str]
    host_facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    import_timeout_s: float = IMPORT_TIMEOUT_S


class Manager:
    """One per process. Owns its builder and its worker pool: `shutdown` ends them."""

    def __init__(self, parts: ManagerParts, scan: Scan, mode: BuildMode = BuildMode.BACKGROUND) -> None:
        self.scan = scan
        self.mode = mode
        self._parts = parts
        self._listeners: list[ManagerListener] = []
        self._lock = threading.Lock()
        self._preparing: set[str] = set()
        self._may_prepare = False
        self._is_closed = False
        self._workers_allowed = threading.Event()
        self._executor = ThreadPoolExecutor(_PREPARING_AT_ONCE, thread_name_prefix="comfy-env-site")
        self.sites = {site.id: self._runtime(site) for site in scan.sites}
        self._freshness = Freshness()
        self._noticing = threading.Lock()
        self._workers = SiteWorkers(
            parts.store,
            parts.make_pool,
            parts.make_spec,
            comfyui_source=parts.comfyui_source,
            host_facts=parts.host_facts,
            codec_files=find_codec_files(scan),
        )
        self._made_builder: Builder | None = None

    # --- the outside asks -------------------------------------------------------------------------------------------

    def add_listener(self, listener: ManagerListener) -> None:
        self._listeners.append(listener)

    def start(self) -> None:
        """Looks at every site and says what is known of it; starts nothing."""
        for runtime in self.sites.values():
            self._assess(runtime)

    def prepare(self) -> None:
        """Begins to build and describe what is not ready, and goes on with whatever is wanted from now on."""
        with self._lock:
            self._may_prepare = True
        for runtime in self.sites.values():
            if runtime.state is not SiteState.FAILED and not runtime.is_complete():
                self._prepare_later(runtime)

    def allow_workers(self) -> None:
        """Workers may be started from now on: ComfyUI has chosen its devices and begun to load packs."""
        self._workers_allowed.set()

    def run(self, runtime: SiteRuntime, request: Mapping[str, Any]) -> WorkerCall:
        """Sends a node call to the site's worker, starting it if need be. Raises SiteNotReady or WorkerStartError."""
        return self.call(runtime, "run", [request])

    def call(self, runtime: SiteRuntime, method: str, args: Sequence[Any]) -> WorkerCall:
        """Calls any method of the site's worker (see `worker.service`), starting it if need be. Raises as `run`."""
        self._look_for_changes(runtime)
        return self._workers.call(runtime, method, args)

    def forget(self, runtime: SiteRuntime, instance: str) -> None:
        """Tells a running worker that the host dropped a node instance."""
        worker = self._workers.running(runtime.id)
        if worker is not None:
            worker.notify("forget", [[instance]])

    @property
    def workers(self) -> SiteWorkers:
        """The processes that run now."""
        return self._workers

    def remember_inputs(
        self, runtime: SiteRuntime, inputs: Mapping[tuple[str, str], Mapping[str, Any]]
    ) -> None:
        """Keeps for the next start what a worker says of its nodes' inputs by now (see `SiteRecord.with_inputs`).

        Returns at once.
        """
        if runtime.record is not None and not self._is_closed:
            self._executor.submit(self._keep, runtime, runtime.record.with_inputs(inputs))

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits until every site is ready or failed. False when the time ran out."""
        return all(runtime.wait_until_settled(timeout_s) for runtime in self.sites.values())

    def names_of(self, environment_id: str) -> str:
        """The sites that use an environment, for people."""
        users = [
            r.id for r in self.sites.values() if r.workspace is not None and r.workspace.id == environment_id
        ]
        return ", ".join(sorted(users)) or environment_id

    def status(self) -> dict[str, Any]:
        """The JSON of `GET /comfy-env/status`."""
        jobs = self._made_builder.jobs() if self._made_builder is not None else ()
        return {
            "store": str(self._parts.store.root),
            "build_mode": self.mode.value,
            "sites": [runtime.status().as_json() for runtime in self.sites.values()],
            "jobs": [job.snapshot().as_json() for job in jobs],
            **self._workers.status(),
            "skipped": [dataclasses.asdict(skipped) for skipped in self.scan.skipped],
        }

    def shutdown(self) -> None:
        """Cancels builds, stops workers, ends threads. Safe to call twice."""
        with self._lock:
            self._is_closed = True
            builder = self._made_builder
        if builder is not None:
            builder.shutdown()
        self._workers_allowed.set()
        self._workers.shutdown()
        self._executor.shutdown(wait=True, cancel_futures=True)

    # --- one site on its way ----------------------------------------------------------------------------------------

    def _runtime(self, site: Site) -> SiteRuntime:
        runtime = SiteRuntime(site, self._parts.module_name(site.pack.path))
        runtime.on_wanted = self._on_wanted
        return runtime

    def _assess(self, runtime: SiteRuntime) -> None:
        """Finds out without work what is known: ready from the last time, serving an older environment, or nothing."""
        site = runtime.site
        runtime.record = record = read_record(self._record_path(runtime))
        if record is not None:
            known = self._parts.store.workspace(record.environment_id)
            runtime.serving = known if known.is_done() else None
            runtime.host_need = HostNeed(record.host_need)
        if site.error is not None:
            self._move(runtime, SiteState.FAILED, failure_of(site.error, site.config_path))
            return
        runtime.source = source_fingerprint(site, self.scan.nested(site))
        runtime.plan_key = self._parts.planner.plan_key(site, runtime.source, runtime.host_need)
        if record is not None and record.plan_key == runtime.plan_key:
            runtime.workspace = self._parts.store.workspace(record.environment_id)
        if (
            runtime.serving is not None
            and runtime.serving == runtime.workspace
            and runtime.has_described_all()
        ):
            self._move(runtime, SiteState.READY)
        elif runtime.serving is not None:
            self._move(runtime, SiteState.STALE)

    def _on_wanted(self, runtime: SiteRuntime) -> None:
        """The host imported a module that nobody has described yet."""
        if runtime.state is not SiteState.FAILED:
            self._prepare_later(runtime)

    def _prepare_later(self, runtime: SiteRuntime) -> None:
        if self.mode is BuildMode.OFF and not self._is_built(runtime):
            log.warning(
                "%s: not built, and COMFY_ENV_BUILD=off; run install.py or choose another value.", runtime.id
            )
            return
        with self._lock:
            if not self._may_prepare or runtime.id in self._preparing:
                return
            self._preparing.add(runtime.id)
        self._executor.submit(self._prepare, runtime)

    def _prepare(self, runtime: SiteRuntime) -> None:
        try:
            self._build(runtime)
            if runtime.record is not None and runtime.workspace is not None and runtime.has_described_all():
                runtime.adopt(runtime.record, runtime.workspace)  # the same environment, built once more
            while not self._is_finished(runtime):
                self._describe(runtime)
        except Exception as error:  # noqa: BLE001  # this thread's boundary: every failure becomes the site's state
            self._keep_traceback(runtime, error)
            with self._lock:
                self._preparing.discard(runtime.id)
            self._move(runtime, SiteState.FAILED, failure_of(error, self._workers.log_path(runtime)))

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

    def _build(self, runtime: SiteRuntime) -> None:
        """Leaves the site describing, its environment done. Raises BuildError."""
        site = runtime.site
        if runtime.workspace is None or not runtime.workspace.is_done():
            self._move(runtime, SiteState.BUILDING)
            plan = self._parts.planner.plan(site, self.scan.nested(site))
            runtime.workspace = self._parts.store.workspace(plan.environment_id)
            runtime.host_need = plan.host_need
            runtime.plan_key = self._parts.planner.plan_key(site, runtime.source, plan.host_need)
            error = self._builder.submit(plan, [site.directory]).wait().error
            if error is not None:
                raise error
        self._move(runtime, SiteState.DESCRIBING)

    def _describe(self, runtime: SiteRuntime) -> None:
        """Lets a worker of the site's own environment import what the host wants, and remembers what it says."""
        self._workers_allowed.wait()
        workspace = runtime.workspace
        assert workspace is not None, "a site is planned before it is described"
        runtime.source = source_fingerprint(runtime.site, self.scan.nested(runtime.site))
        limit_s = self._parts.import_timeout_s
        descriptions = {
            module: self._workers.call(
                runtime, "describe", [module], workspace=workspace, timeout_s=limit_s
            ).result()
            for module in runtime.modules_to_describe()
        }
        record = SiteRecord(
            plan_key=runtime.plan_key,
            environment_id=workspace.id,
            host_need=runtime.host_need.value,
            has_torch=any(package.name == "torch" for package in workspace.read_meta().packages),
            source=runtime.source,
            descriptions=descriptions,
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
            if not runtime.has_described_all():
                return False
            self._preparing.discard(runtime.id)
            runtime.move(SiteState.READY)
        self._tell_site(runtime)
        return True

    @property
    def _builder(self) -> Builder:
        with self._lock:
            if self._made_builder is None:
                if self._is_closed:
                    raise RuntimeError("comfy-env manager is shutting down; nothing is built any more.")
                self._made_builder = self._parts.make_builder(self._tell_job)
            return self._made_builder

    # --- what changes on disk meanwhile -----------------------------------------------------------------------------

    def _look_for_changes(self, runtime: SiteRuntime) -> None:
        """A node is about to be called."""
        has_worker = self._workers.running(runtime.id) is not None
        with self._noticing:  # several nodes may be called at once: one of them says it
            change = self._freshness.look(runtime, self.scan.nested(runtime.site), has_worker=has_worker)
            if change is Change.ENVIRONMENT:
                self._build_again(runtime)
            elif change is not None:
                runtime.notice = change.value
                self._move(runtime, SiteState.STALE)
        if runtime.notice is not None and not has_worker:
            log.warning(
                "%s: its worker starts anew, from files that changed since its nodes were described. Restart ComfyUI.",
                runtime.id,
            )

    def _build_again(self, runtime: SiteRuntime) -> None:
        """The environment is gone. What its worker has not imported yet it can import no more."""
        log.warning("%s: %s; it is built anew.", runtime.id, Change.ENVIRONMENT.value)
        runtime.serving = None
        self._workers.stop(runtime.id)
        self._move(runtime, SiteState.UNBUILT)
        self._prepare_later(runtime)

    # --- small things -----------------------------------------------------------------------------------------------

    def _is_built(self, runtime: SiteRuntime) -> bool:
        return runtime.workspace is not None and runtime.workspace.is_done()

    def _record_path(self, runtime: SiteRuntime) -> Path:
        return record_path(self._parts.store.descriptions_dir, runtime.site.directory)

    def _move(self, runtime: SiteRuntime, state: SiteState, failure: SiteFailure | None = None) -> None:
        runtime.move(state, failure)
        self._tell_site(runtime)

    def _tell_site(self, runtime: SiteRuntime) -> None:
        for listener in self._listeners:
            listener.on_site(runtime.status())

    def _tell_job(self, job: JobSnapshot) -> None:
        for listener in self._listeners:
            listener.on_job(job)
