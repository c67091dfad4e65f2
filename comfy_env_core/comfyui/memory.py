"""ComfyUI's memory management and that of its workers, joined.

Two functions of `comfy.model_management` are wrapped, because ComfyUI has no seam for others: `free_memory`, by which
it makes room on a device and, asked for more than there is, unloads everything ("Unload Models", `POST /free`); and
`soft_empty_cache`, which ends its tidying up after a prompt. Both are looked up at each call in 0.3.52 to 0.3.75.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Protocol

from comfy_env_core.comfyui.prompt_loop import PromptLoop
from comfy_env_core.supervision import Worker, WorkerError
from comfy_env_core.wire import CallTimeout
from comfy_env_core.worker.comfyui.vram import EVERYTHING_BYTES, DeviceMemory, device_of

log = logging.getLogger("comfy-env")

#: For a worker to move its models: some gigabytes over the bus. And for ComfyUI to be between two nodes.
RELEASE_TIMEOUT_S = 10.0


class Workers(Protocol):
    """Those that run, see `SiteWorkers`."""

    def all_running(self) -> Sequence[Worker]: ...

    def trim(self) -> None: ...


class HostMemory:
    """`install` puts the wrappers in place, `remove` takes them away."""

    def __init__(self, management: ModuleType, workers: Workers, loop: PromptLoop) -> None:
        self._management = management
        self._workers = workers
        self._loop = loop
        self._devices = DeviceMemory(management)
        self._originals = {name: vars(management)[name] for name in ("free_memory", "soft_empty_cache")}
        self._wrappers = {
            "free_memory": self._wrap_free_memory(),
            "soft_empty_cache": self._wrap_empty_cache(),
        }
        self._local = threading.local()
        self._tidied: dict[int, int] = {}  # process -> its calls when it was told to tidy up

    def install(self) -> None:
        """From now on."""
        vars(self._management).update(self._wrappers)

    def remove(self) -> None:
        """As before; what another pack has wrapped in turn stays as it is."""
        for name, wrapper in self._wrappers.items():
            if vars(self._management)[name] is wrapper:
                vars(self._management)[name] = self._originals[name]

    def note_prompt_loop(self) -> None:
        """A node is called without anybody waiting for it on ComfyUI's thread (called within its loop)."""
        self._loop.note()

    def need(self, asker: str, needed_bytes: int, device_name: str) -> None:
        """Makes room for a worker: `needed_bytes` that the driver should have on its device. `asker`: its site."""
        device = device_of(device_name)
        if self._devices.driver_free_bytes(device) >= needed_bytes:
            return
        if not self._loop.run(lambda: self._give_back(needed_bytes, device), RELEASE_TIMEOUT_S):
            log.info(
                "%s needs room on %s. ComfyUI frees nothing: its own thread is busy, or runs no prompt.",
                asker,
                device,
            )
        self._quietly(self._ask_workers, needed_bytes, device, asker)

    # -- the wrappers --------------------------------------------------------------------------------------

    def _wrap_free_memory(self) -> Any:
        original = self._originals["free_memory"]

        @functools.wraps(original)
        def free_memory(memory_required: Any, device: Any, *args: Any, **kwargs: Any) -> Any:
            unloaded = self._quietly(original, memory_required, device, *args, **kwargs)
            if memory_required >= EVERYTHING_BYTES:
                self._quietly(self._release_all)
                return unloaded
            missing_bytes = self._devices.missing_bytes(memory_required, device)
            if missing_bytes > 0:
                self._quietly(self._ask_workers, missing_bytes, device, asker=None)
            return unloaded

        return free_memory

    def _wrap_empty_cache(self) -> Any:
        original = self._originals["soft_empty_cache"]

        @functools.wraps(original)
        def soft_empty_cache(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            if not getattr(self._local, "is_quiet", False):
                self._tidy_all()
            return result

        return soft_empty_cache

    def _quietly(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """`free_memory` empties the cache as well, ours and a worker's, which has ComfyUI do the same: that is while
        something is loaded or unloaded, and no time to tidy up."""
        was_quiet = getattr(self._local, "is_quiet", False)
        self._local.is_quiet = True
        try:
            return function(*args, **kwargs)
        finally:
            self._local.is_quiet = was_quiet

    # -- the workers ---------------------------------------------------------------------------------------

    def _give_back(self, needed_bytes: int, device: Any) -> None:
        self._quietly(self._devices.give_back, needed_bytes, device)

    def _ask_workers(self, needed_bytes: int, device: Any, asker: str | None) -> None:
        """Has idle workers move their models, the one that was used longest ago first, until there is room.

        Busy ones are left alone: their main thread is taken, and it may itself be waiting for us. One whose node has
        ComfyUI do something that needs the room is asked as well: in one process its models would have to go, too.
        """
        for worker in self._workers.all_running():
            if self._devices.driver_free_bytes(device) >= needed_bytes:
                return
            is_free = worker.statistics.idle_s is not None or worker.waits_for_this_thread()
            if worker.spec.site_id != asker and is_free:
                _release(worker, RELEASE_TIMEOUT_S, needed_bytes, str(device))

    def _release_all(self) -> None:
        self._tidied.clear()
        deadline = time.monotonic() + RELEASE_TIMEOUT_S
        for worker in self._workers.all_running():
            if worker.statistics.idle_s is None:
                continue
            left_s = deadline - time.monotonic()
            if left_s > 0:
                _release(worker, left_s)
            else:
                worker.notify("release_memory")
        self._workers.trim()

    def _tidy_all(self) -> None:
        """Every worker that did something since the last time and is done with it."""
        for worker in self._workers.all_running():
            statistics = worker.statistics
            if statistics.idle_s is None or statistics.pid is None:
                continue
            if self._tidied.get(statistics.pid) != statistics.calls:
                self._tidied[statistics.pid] = statistics.calls
                worker.notify("tidy_memory")


def _release(worker: Worker, timeout_s: float, *args: Any) -> None:
    """Whatever happens, the one who needs the memory goes on: with less of it."""
    try:
        worker.ask("release_memory", args, timeout_s=timeout_s)
    except (WorkerError, CallTimeout) as error:
        log.info("The worker of %s gave no memory back: %s", worker.spec.site_id, error)
    except Exception:  # the worker's own code failed, and only its own
        log.warning("The worker of %s could not give memory back", worker.spec.site_id, exc_info=True)
