"""How a worker gives memory back when ComfyUI wants it, and asks for room on the GPU before it loads a model."""

from __future__ import annotations

import ctypes
import functools
import gc
import logging
import sys
from types import ModuleType
from typing import Any

from comfy_env_core.wire.segments import SegmentMemory
from comfy_env_core.worker.comfyui.vram import DeviceMemory, device_of, is_known
from comfy_env_core.worker.home import Home

log = logging.getLogger("comfy-env.worker")


class WorkerMemory:
    """`release` and `tidy` run on the main thread, between nodes: what a running node uses is never taken away."""

    def __init__(self) -> None:
        self._home: Home | None = None
        self._segments: SegmentMemory | None = None
        self._devices: DeviceMemory | None = None

    def attach(self, home: Home, segments: SegmentMemory) -> None:
        """The way home is known."""
        self._home = home
        self._segments = segments

    def watch(self, management: ModuleType) -> None:
        """Right after the import of `comfy.model_management`: what is missing after its own `free_memory` is asked for
        at home, where ComfyUI frees its models, and other workers theirs. A ComfyUI that goes about it in another way
        is left alone."""
        if not is_known(management):
            return
        devices = self._devices = DeviceMemory(management)
        original = vars(management)["free_memory"]

        @functools.wraps(original)
        def free_memory(memory_required: Any, device: Any, *args: Any, **kwargs: Any) -> Any:
            unloaded = original(memory_required, device, *args, **kwargs)
            missing_bytes = devices.missing_bytes(memory_required, device)
            if missing_bytes > 0 and self._home is not None:
                self._home.ask("vram_need", missing_bytes, str(device))
            return unloaded

        vars(management)["free_memory"] = free_memory

    def release(self, needed_bytes: int | None = None, device: str | None = None) -> None:
        """Moves models to the CPU until the driver has `needed_bytes` on `device`; None: all of them.

        Those are the models that ComfyUI's code manages here. Others nobody may move but the code that made them, as in
        ComfyUI's own process; what torch keeps for them beyond their size is given back.
        """
        if self._devices is not None and needed_bytes is not None and device is not None:
            self._devices.give_back(needed_bytes, device_of(device))
        elif self._devices is not None:
            self._devices.give_back_everything()
        self.tidy()

    def tidy(self) -> None:
        """Gives back what nothing uses: to the driver, to the system, to ComfyUI's process."""
        gc.collect()
        empty_torch_caches()
        if self._segments is not None:
            self._segments.trim()
        trim_heap()


def empty_torch_caches() -> None:
    """As `soft_empty_cache` does, also where there is no ComfyUI. Touches no device that is not in use already."""
    torch: Any = sys.modules.get("torch")
    for name in ("cuda", "xpu"):
        backend = getattr(torch, name, None)
        if backend is not None and backend.is_initialized():
            backend.empty_cache()
    if torch is not None and torch.backends.mps.is_available():
        torch.mps.empty_cache()


def trim_heap() -> None:
    """The C library keeps small pieces that were freed; glibc can be told not to."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
