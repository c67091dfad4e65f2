"""Room on a GPU that several processes share, each with a `comfy.model_management` that knows its own models alone.

Whoever needs room frees its own models first, as ComfyUI does, and asks the others for what is still missing. Both
ComfyUI's process and its workers use this module, each over its own `comfy.model_management`.

Bytes here are the driver's: what torch keeps in its cache is free for the process that keeps it, and for no other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

#: From here on "so much that everything has to go": `unload_all_models` asks for 1e30 bytes.
EVERYTHING_BYTES = 1e20
#: Devices whose driver says what all processes together have left. On the CPU, on Apple's GPUs and with DirectML
#: ComfyUI goes by the machine's memory, or by a constant.
MEASURED = frozenset({"cuda", "xpu", "npu", "mlu"})


class DeviceMemory:
    """`management`: a `comfy.model_management`, of which only public functions are used (0.3.52 to 0.3.75 at least).

    Its `free_memory` as it is now is the one that is called: whoever replaces that function does so afterwards.
    """

    def __init__(self, management: ModuleType) -> None:
        self._management = management
        self._free_memory: Callable[..., Any] = vars(management)["free_memory"]
        self._soft_empty_cache: Callable[..., Any] = vars(management)["soft_empty_cache"]

    def missing_bytes(self, needed_bytes: float, device: Any) -> int:
        """What the driver lacks for `free_memory(needed_bytes, device)` to be satisfied: 0 when nothing is missing or
        nobody can know, and for a wish for everything."""
        if needed_bytes >= EVERYTHING_BYTES or not _is_measured(device):
            return 0
        free, cached = self._management.get_free_memory(device, torch_free_too=True)
        return int(needed_bytes - cached) if free < needed_bytes else 0

    def driver_free_bytes(self, device: Any) -> float:
        """What any process could have now."""
        free, cached = self._management.get_free_memory(device, torch_free_too=True)
        return float(free - cached)

    def give_back(self, needed_bytes: float, device: Any) -> None:
        """Moves own models to the CPU until the driver has that much, or none is left that may go."""
        self._soft_empty_cache()
        free, cached = self._management.get_free_memory(device, torch_free_too=True)
        if free - cached < needed_bytes:
            self._free_memory(needed_bytes + cached, device)
            self._soft_empty_cache()

    def give_back_everything(self) -> None:
        """Moves all own models to the CPU, as `unload_all_models`."""
        self._free_memory(1e30, self._management.get_torch_device())
        self._soft_empty_cache()


def is_known(management: ModuleType) -> bool:
    """Whether this ComfyUI manages memory by the functions that are used here."""
    names = ("free_memory", "soft_empty_cache", "get_free_memory", "get_torch_device")
    return all(name in vars(management) for name in names)


def device_of(name: str) -> Any:
    """The device that the other process calls so; both see the same GPUs in the same order."""
    torch = sys.modules.get("torch")
    return name if torch is None else torch.device(name)


def _is_measured(device: Any) -> bool:
    return str(device).partition(":")[0] in MEASURED
