"""The workers of all sites, made from what is known of a site and started when something is asked of them."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_env_core.config import HostNeed
from comfy_env_core.environments.states import SiteState
from comfy_env_core.environments.store import Store, Workspace
from comfy_env_core.sites.failure import SiteNotReady
from comfy_env_core.sites.runtime import SiteRuntime
from comfy_env_core.sites.search_path import entries_of_pack
from comfy_env_core.sites.worker_status import ProcessesJson, WorkerJson, worker_json

if TYPE_CHECKING:
    from comfy_env_core.building.gpu_memory import GpuMemory
    from comfy_env_core.supervision import IdlePolicy, Worker, WorkerCall, WorkerPool, WorkerSpec
    from comfy_env_core.supervision.measuring import ProcessFigures


class SiteWorkers:
    """Owns the pool, which is made for the first worker: `shutdown` ends it.

    `make_pool`, `make_spec`: the worker pool, which tells changes of a site's worker to the function it is given, and
    its `WorkerSpec`s. `codec_files`: the file of each pack, by name, that packs its own types. `tell`: hears of those
    changes, see `ManagerListener.on_worker`.
    """

    def __init__(
        self,
        store: Store,
        make_pool: Callable[[Callable[[str], None]], WorkerPool],
        make_spec: Callable[..., WorkerSpec],
        *,
        comfyui_source: Path | None,
        host_facts: Mapping[str, Any],
        codec_files: Mapping[str, Path],
        tell: Callable[[str], None],
    ) -> None:
        self._store = store
        self._make_pool = make_pool
        self._tell = tell
        self._make_spec = make_spec
        self._comfyui_source = comfyui_source
        self._host_facts = host_facts
        self._codec_files = codec_files
        self._lock = threading.Lock()
        self._pool: WorkerPool | None = None
        self._asked: dict[
            str, tuple[Workspace, str, HostNeed]
        ] = {}  # what a site's last worker was started for
        self._is_closed = False

    def call(
        self,
        runtime: SiteRuntime,
        method: str,
        args: Sequence[Any],
        *,
        workspace: Workspace | None = None,
        timeout_s: float | None = None,
    ) -> WorkerCall:
        """Calls the site's worker in `workspace`, or in the generation that serves, starting it if need be.

        Raises SiteNotReady or WorkerStartError.
        """
        spec = self._current_spec(runtime, workspace or runtime.serving)
        return self._opened().call(spec, method, args, timeout_s=timeout_s)

    def running(self, site_id: str) -> Worker | None:
        """The site's worker if it can take calls now; starts nothing."""
        return self._pool.running(site_id) if self._pool is not None else None

    def all_running(self) -> list[Worker]:
        """All that can take calls now, the one that was used longest ago first."""
        workers = self._pool.workers() if self._pool is not None else ()
        alive = [worker for worker in workers if worker.is_alive]
        return sorted(alive, key=lambda worker: worker.statistics.last_used_at or 0.0)

    def stop(self, site_id: str) -> None:
        """Ends the site's worker if there is one; the next call starts it again."""
        if self._pool is not None:
            self._pool.stop(site_id)

    def start(self, runtime: SiteRuntime) -> None:
        """Starts the site's worker if it does not run, and waits until it answers. Raises as `call`."""
        self._opened().get(self._current_spec(runtime, runtime.serving))

    def stop_on_request(self, site_id: str, reason: str) -> bool:
        """Ends the site's worker, whatever it does: its open calls fail with `reason`. Whether there was one."""
        return self._pool is not None and self._pool.stop_on_request(site_id, reason)

    def end_if_idle(self, site_id: str, reason: str) -> bool:
        """Ends the site's worker for what `reason` says, unless it works or ComfyUI holds its objects.

        Whether there is none now.
        """
        worker = self.running(site_id)
        return worker is None or worker.stop_if_idle(reason) or not worker.is_alive

    def follow(self, policy: IdlePolicy) -> None:
        """Ends idle workers by this one from now on. Without a worker so far, the pool is made with it anyway."""
        if self._pool is not None:
            self._pool.follow(policy)

    def trim(self) -> None:
        """Gives back the shared memory that nothing uses now."""
        if self._pool is not None:
            self._pool.trim()

    def status(self) -> ProcessesJson:
        """All that ever ran, and what they share."""
        pool = self._pool
        if pool is None:
            return {"workers": [], "shared_memory": None}
        figures = pool.figures()
        return {
            "workers": [self._shown(worker, figures) for worker in pool.workers()],
            "shared_memory": pool.memory._asdict(),
        }

    def show(self, site_id: str) -> WorkerJson | None:
        """That of one site; None if it never ran one."""
        pool = self._pool
        workers = pool.workers() if pool is not None else ()
        worker = next((worker for worker in workers if worker.spec.site_id == site_id), None)
        return self._shown(worker, pool.figures()) if pool is not None and worker is not None else None

    def shutdown(self) -> None:
        """Stops all and starts none from now on."""
        with self._lock:
            self._is_closed = True
        if self._pool is not None:
            self._pool.stop_all()

    def log_path(self, runtime: SiteRuntime) -> Path:
        """Where the output of the site's workers goes."""
        return self._store.logs_dir / f"{runtime.id.replace('/', '.')}.log"

    def _shown(self, worker: Worker, figures: Mapping[int, ProcessFigures]) -> WorkerJson:
        pid = worker.pid
        if pid is None:
            return worker_json(worker, None, None)
        return worker_json(worker, figures.get(pid), self._gpu_memory.used_bytes(pid))

    @functools.cached_property
    def _gpu_memory(self) -> GpuMemory:
        # Late: a start without workers needs none of it.
        from comfy_env_core.building.gpu_memory import GpuMemory  # noqa: PLC0415

        return GpuMemory()

    def _opened(self) -> WorkerPool:
        with self._lock:
            if self._is_closed:
                raise RuntimeError("comfy-env manager is shutting down; no worker is started any more.")
            if self._pool is None:
                self._pool = self._make_pool(self._tell)
            return self._pool

    def _current_spec(self, runtime: SiteRuntime, workspace: Workspace | None) -> WorkerSpec:
        """That of the running worker as long as it is what is asked for: making one takes as long as a small call."""
        if workspace is None:
            raise SiteNotReady(self._why_not_ready(runtime))
        asked = (workspace, runtime.source, runtime.host_need)
        worker = self.running(runtime.id)
        if worker is not None and self._asked.get(runtime.id) == asked:
            return worker.spec
        self._asked[runtime.id] = asked
        return self._spec(runtime, workspace)

    def _spec(self, runtime: SiteRuntime, workspace: Workspace) -> WorkerSpec:
        site = runtime.site
        needs_comfyui = runtime.host_need is HostNeed.COMFYUI
        own, others = site.pack.name, self._codec_files.items()
        return self._make_spec(
            site_id=site.id,
            pack_name=site.pack.name,
            python=workspace.python,
            prefix=workspace.prefix,
            module_name=runtime.pack_module_name,
            pack_dir=site.pack.path,
            site_dir=site.directory,
            source=runtime.source,
            env_vars=site.spec.env_vars if site.spec is not None else {},
            comfyui=self._comfyui_source if needs_comfyui else None,
            host_facts={**self._host_facts, "pack_paths": entries_of_pack(site.pack.path, sys.path)},
            pycache_dir=self._store.cache_dir / "pycache" / workspace.environment_id,
            log_path=self.log_path(runtime),
            codec_file=self._codec_files.get(own),
            other_codec_files=tuple(path for name, path in others if name != own),
        )

    def _why_not_ready(self, runtime: SiteRuntime) -> str:
        if runtime.failure is not None:
            return f"The nodes of {runtime.id!r} cannot run: {runtime.failure}"
        if runtime.state is SiteState.UNBUILT:
            return (
                f"The environment of {runtime.id!r} is not built: it was deleted, or building at start is off "
                "(COMFY_ENV_BUILD). Build it in the comfy-env tab of ComfyUI's sidebar, or run install.py of comfy-env "
                "manager."
            )
        log_path = runtime.environment.log_path if runtime.environment is not None else self._store.root
        state = runtime.state.value
        return f"The environment of {runtime.id!r} is still {state}. Try again in a moment. Log: {log_path}"
