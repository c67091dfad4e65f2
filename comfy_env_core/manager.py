"""Ties the stages together: scan, choose environments, build what is missing, describe, run.

ComfyUI's hooks, the command line and the API talk to a `Manager` and to nothing below it.
"""

from __future__ import annotations

import dataclasses
import enum
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from comfy_env_core.discovery import Scan, Site, read_site
from comfy_env_core.environments.installs import record as record_install
from comfy_env_core.environments.states import SiteState
from comfy_env_core.environments.store import Store
from comfy_env_core.sites.codec_files import find_codec_files
from comfy_env_core.sites.freshness import Change, Freshness
from comfy_env_core.sites.planning import Planner
from comfy_env_core.sites.preparation import Preparation
from comfy_env_core.sites.runtime import SiteRuntime
from comfy_env_core.sites.status import SiteStatus
from comfy_env_core.sites.upkeep import Upkeep
from comfy_env_core.sites.workers import SiteWorkers

if TYPE_CHECKING:
    from comfy_env_core.building.jobs import Builder, JobSnapshot
    from comfy_env_core.building.plan import BuildPlan
    from comfy_env_core.supervision import WorkerCall, WorkerPool, WorkerSpec

log = logging.getLogger("comfy-env")

#: A pack's first import in a fresh environment compiles bytecode and may load gigabytes from a slow disk.
IMPORT_TIMEOUT_S = 180.0


class BuildMode(enum.Enum):
    """`COMFY_ENV_BUILD`: what happens at start with an environment that is missing."""

    BACKGROUND = "background"
    BLOCKING = "blocking"  #: wait for it: for servers and CI
    OFF = "off"


class ManagerListener(Protocol):
    """Told of every change, from whatever thread made it. Must return quickly."""

    def on_job(self, job: JobSnapshot) -> None: ...

    def on_site(self, site: SiteStatus) -> None: ...

    def on_worker(self, site_id: str) -> None:
        """The site's worker starts, answers for the first time, is being stopped, stopped, or died."""


@dataclasses.dataclass(frozen=True)
class ManagerParts:
    """What a manager works with.

    - `make_builder`: makes the builder that tells its jobs to the function it is given. `make_pool`: makes the worker
      pool that tells the function it is given of which site's worker something changed; `make_spec`: its `WorkerSpec`s.
      All three are called when they are first needed: a warm start needs none of them, and importing what they are made
      of would take longer than all the rest of it.
    - `module_name`: the name under which ComfyUI imports a pack's root.
    - `custom_nodes`: the directories that make up this ComfyUI, for the record of who uses which environment; empty
      for a manager over a part of it, which records nothing.
    """

    store: Store
    planner: Planner
    make_builder: Callable[[Callable[[JobSnapshot], None]], Builder]
    make_pool: Callable[[Callable[[str], None]], WorkerPool]
    make_spec: Callable[..., WorkerSpec]
    comfyui_source: Path | None
    module_name: Callable[[Path], str]
    host_facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    import_timeout_s: float = IMPORT_TIMEOUT_S
    custom_nodes: Sequence[Path] = ()


class Manager:
    """One per process. Owns its builder and its worker pool: `shutdown` ends them."""

    def __init__(self, parts: ManagerParts, scan: Scan, mode: BuildMode = BuildMode.BACKGROUND) -> None:
        self.scan = scan
        self.mode = mode
        self._parts = parts
        self._listeners: list[ManagerListener] = []
        self._freshness = Freshness()
        self._noticing = threading.Lock()
        self._recording = threading.Lock()
        self._workers = SiteWorkers(
            parts.store,
            parts.make_pool,
            parts.make_spec,
            comfyui_source=parts.comfyui_source,
            host_facts=parts.host_facts,
            codec_files=find_codec_files(scan),
            tell=self._tell_worker,
        )
        self._preparation = Preparation(
            parts.store,
            parts.planner,
            self._workers,
            scan.nested,
            lambda: parts.make_builder(self._tell_job),
            self._tell_site,
            may_build=mode is not BuildMode.OFF,
            import_timeout_s=parts.import_timeout_s,
        )
        self._upkeep = Upkeep(parts.store, self._preparation, self._workers, self.users_of, self._tell_site)
        self.sites = {site.id: self._runtime(site) for site in scan.sites}

    # --- the outside asks -------------------------------------------------------------------------------------------

    def add_listener(self, listener: ManagerListener) -> None:
        self._listeners.append(listener)

    def start(self) -> None:
        """Looks at every site and says what is known of it; starts nothing."""
        for runtime in self.sites.values():
            self._preparation.assess(runtime)
        self._record_use()

    def prepare(self, runtimes: Iterable[SiteRuntime] | None = None) -> None:
        """Begins to build and describe what is not ready, of these or of all, and goes on with whatever is wanted from
        now on."""
        self._preparation.begin(self.sites.values() if runtimes is None else runtimes)

    def allow_workers(self) -> None:
        """Workers may be started from now on: ComfyUI has chosen its devices and begun to load packs."""
        self._preparation.allow_workers()

    def run(self, runtime: SiteRuntime, request: Mapping[str, Any]) -> WorkerCall:
        """Sends a node call to the site's worker, starting it if need be. Raises SiteNotReady or WorkerStartError."""
        return self.call(runtime, "run", [request])

    def call(self, runtime: SiteRuntime, method: str, args: Sequence[Any]) -> WorkerCall:
        """Calls any method of the site's worker (see `worker.service`), starting it if need be. Raises as `run`."""
        self._look_for_changes(runtime)
        return self._workers.call(runtime, method, args)

    def start_worker(self, runtime: SiteRuntime) -> None:
        """Starts the site's worker if it does not run, and waits until it answers. Raises as `run`."""
        self._look_for_changes(runtime)
        self._workers.start(runtime)

    def forget(self, runtime: SiteRuntime, instance: str) -> None:
        """Tells a running worker that the host dropped a node instance."""
        worker = self._workers.running(runtime.id)
        if worker is not None:
            worker.notify("forget", [[instance]])

    @property
    def store(self) -> Store:
        """Where its environments live."""
        return self._parts.store

    @property
    def custom_nodes(self) -> tuple[Path, ...]:
        """The directories that make up this ComfyUI."""
        return tuple(self._parts.custom_nodes)

    @property
    def comfyui_source(self) -> Path | None:
        """ComfyUI's own code, None where it was not found."""
        return self._parts.comfyui_source

    @property
    def workers(self) -> SiteWorkers:
        """The processes that run now."""
        return self._workers

    @property
    def upkeep(self) -> Upkeep:
        """What can be done to environments while sites use them."""
        return self._upkeep

    def remember_inputs(
        self, runtime: SiteRuntime, inputs: Mapping[tuple[str, str], Mapping[str, Any]]
    ) -> None:
        """Keeps for the next start what a worker says of its nodes' inputs by now (see `SiteRecord.with_inputs`).

        Returns at once.
        """
        self._preparation.remember_inputs(runtime, inputs)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits until every site is ready or failed. False when the time ran out."""
        return all(runtime.wait_until_settled(timeout_s) for runtime in self.sites.values())

    def users_of(self, environment_id: str) -> list[SiteRuntime]:
        """The sites whose file asks for that environment, or whose nodes run in it."""
        return [runtime for runtime in self.sites.values() if environment_id in runtime.environment_ids()]

    def names_of(self, environment_id: str) -> str:
        """The sites that use an environment, for people."""
        return ", ".join(sorted(runtime.id for runtime in self.users_of(environment_id))) or environment_id

    def plan(self, runtime: SiteRuntime, platform_name: str | None = None) -> BuildPlan:
        """What would be built by what the site's file says now, here or on another platform without a GPU.

        Changes nothing, and asks no network. Raises BuildError for a file that cannot become an environment there.
        """
        site = read_site(runtime.site.pack, runtime.site.config_path)
        nested = self.scan.nested(runtime.site)
        if platform_name is None:
            return self._parts.planner.plan(site, nested)
        return self._parts.planner.plan_elsewhere(site, nested, platform_name)

    def builds(self) -> tuple[JobSnapshot, ...]:
        """The last build of each environment that this process began, under way or ended."""
        return tuple(job.snapshot() for job in self._preparation.jobs())

    def shutdown(self) -> None:
        """Cancels builds, stops workers, ends threads. Safe to call twice."""
        self._preparation.stop_building()
        self._workers.shutdown()
        self._preparation.shutdown()

    def _runtime(self, site: Site) -> SiteRuntime:
        runtime = SiteRuntime(site, self._parts.module_name(site.pack.path))
        runtime.on_wanted = self._preparation.later
        return runtime

    # --- what changes on disk meanwhile -----------------------------------------------------------------------------

    def _look_for_changes(self, runtime: SiteRuntime) -> None:
        """A node is about to be called."""
        has_worker = self._workers.running(runtime.id) is not None
        with self._noticing:  # several nodes may be called at once: one of them says it
            change = self._freshness.look(runtime, self.scan.nested, has_worker=has_worker)
            if change is Change.ENVIRONMENT:
                self._build_again(runtime)
            elif change is Change.REBUILT:
                self._upkeep.renew(runtime)
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
        self._preparation.later(runtime)

    # --- small things -----------------------------------------------------------------------------------------------

    def _record_use(self) -> None:
        """Lets garbage collection know what this ComfyUI uses; without that it may remove only what is old."""
        used = {id_ for runtime in self.sites.values() for id_ in runtime.environment_ids()}
        installs_dir = self._parts.store.installs_dir
        if not self._parts.custom_nodes or not (used or os.path.exists(installs_dir)):
            return
        try:
            with self._recording:
                record_install(self._parts.store, self._parts.custom_nodes, used)
        except OSError as error:
            log.warning("Which environments this ComfyUI uses cannot be noted in %s: %s", installs_dir, error)

    def _move(self, runtime: SiteRuntime, state: SiteState) -> None:
        runtime.move(state)
        self._tell_site(runtime)

    def _tell_site(self, runtime: SiteRuntime) -> None:
        if runtime.state is SiteState.DESCRIBING:
            self._record_use()  # its environment was chosen and is done
        for listener in self._listeners:
            listener.on_site(runtime.status())

    def _tell_job(self, job: JobSnapshot) -> None:
        for listener in self._listeners:
            listener.on_job(job)

    def _tell_worker(self, site_id: str) -> None:
        for listener in self._listeners:
            listener.on_worker(site_id)
