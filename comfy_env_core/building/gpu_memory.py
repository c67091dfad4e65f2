"""How much of the GPUs' memory each process has, by what the NVIDIA driver says. No CUDA context, so none of our own.

Source: NVML API reference, `nvmlDeviceGetComputeRunningProcesses_v3` (drivers from 510 on).
"""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from comfy_env_core.building.nvidia_driver import load_nvml

log = logging.getLogger("comfy-env.building")

#: Between two questions to the driver.
ASK_EVERY_S = 2.0
#: An older answer is none. A GPU that has fallen off the bus holds NVML for ever.
_TOO_OLD_S = 30.0
_MOST_PROCESSES = 256
#: What the driver says of a process whose memory it does not know (Windows, as a rule).
_UNKNOWN = (1 << 64) - 1


class _Process(ctypes.Structure):
    _fields_ = (
        ("pid", ctypes.c_uint),
        ("used_bytes", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    )


class GpuMemory:
    """Thread-safe, and never waits for the driver: what it says is as of the question before. Asks only while it is
    asked itself, each time on a thread of its own."""

    def __init__(
        self, load: Callable[[], Any] = load_nvml, clock: Callable[[], float] = time.monotonic
    ) -> None:  # Any: see `load_nvml`
        self._load = load
        self._clock = clock
        self._lock = threading.Lock()
        self._nvml: Any = None
        self._is_absent = False
        self._is_asking = False
        self._asked_at = float("-inf")
        self._answered_at = float("-inf")
        self._by_pid: dict[int, int] = {}

    def used_bytes(self, pid: int) -> int | None:
        """None when the driver says nothing of that process: there is no driver, or in a container, which has process
        numbers of its own."""
        now = self._clock()
        with self._lock:
            if not (self._is_absent or self._is_asking) and now - self._asked_at >= ASK_EVERY_S:
                self._asked_at, self._is_asking = now, True
                threading.Thread(target=self._ask, name="comfy-env gpu memory", daemon=True).start()
            return self._by_pid.get(pid) if now - self._answered_at < _TOO_OLD_S else None

    def _ask(self) -> None:
        answer: dict[int, int] | None = None
        try:
            if self._nvml is None:
                self._nvml = _initialised(self._load())
            answer = dict(_by_pid(self._nvml)) if self._nvml is not None else None
        except (OSError, AttributeError) as error:  # a driver without the function
            log.debug("The NVIDIA driver does not say how much memory processes have: %s", error)
        with self._lock:
            self._is_asking = False
            self._is_absent = answer is None
            if answer is not None:
                self._by_pid, self._answered_at = answer, self._clock()


def _initialised(nvml: Any) -> Any:
    return nvml if nvml is not None and nvml.nvmlInit_v2() == 0 else None


def _by_pid(nvml: Any) -> Counter[int]:
    used: Counter[int] = Counter()
    for process in _processes(nvml):
        if process.used_bytes != _UNKNOWN:
            used[process.pid] += process.used_bytes
    return used


def _processes(nvml: Any) -> Iterator[_Process]:
    devices = ctypes.c_uint()
    if nvml.nvmlDeviceGetCount_v2(ctypes.byref(devices)) != 0:
        return
    for index in range(devices.value):
        device = ctypes.c_void_p()
        if nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(device)) != 0:
            continue  # a GPU that this container may not use
        found, count = (_Process * _MOST_PROCESSES)(), ctypes.c_uint(_MOST_PROCESSES)
        if nvml.nvmlDeviceGetComputeRunningProcesses_v3(device, ctypes.byref(count), found) == 0:
            yield from found[: count.value]
