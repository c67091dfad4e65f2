"""How much of the GPUs' memory each process has, asked of a driver made of a few lines of C."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from patience import eventually

from comfy_env_core.building.gpu_memory import ASK_EVERY_S, GpuMemory

#: Three GPUs, the last of them not for us. Process 7 is on both others; of process 8 nothing is known.
NVML_SOURCE = """
typedef struct { unsigned pid; unsigned long long used; unsigned gpu, compute; } process;
int asked = 0;
int nvmlInit_v2(void) { return INIT; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 3; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **device) { *device = (void *)(long)(i + 1); return i == 2 ? 4 : 0; }
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, process *found) {
    asked++;
    if (*count < 2) return 7;
    found[0] = (process){7, (long)device * 1000000000ULL, 0, 0};
    found[1] = (process){8, ~0ULL, 0, 0};
    *count = 2;
    return 0;
}
"""

Driver = Callable[[int], Any]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    """Makes a library whose initialisation ends with the given code."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: what the NVIDIA driver says of processes was NOT tested")

    def make(init: int) -> Any:
        library = tmp_path / f"nvml{init}.so"
        (tmp_path / "nvml.c").write_text(NVML_SOURCE)
        subprocess.run(
            [compiler, "-shared", "-fPIC", f"-DINIT={init}", "-o", library, tmp_path / "nvml.c"], check=True
        )
        return ctypes.CDLL(str(library))

    return make


def test_without_a_driver_nobody_asks_again() -> None:
    loads: list[int] = []
    clock = Clock()
    memory = GpuMemory(lambda: loads.append(1), clock)
    for _ in range(5):
        assert memory.used_bytes(7) is None
        assert eventually(lambda: not memory._is_asking)
        clock.now += ASK_EVERY_S
    assert loads == [1]


def test_a_driver_that_does_not_work_is_none(driver: Driver) -> None:
    library = driver(9)
    memory = GpuMemory(lambda: library)
    assert memory.used_bytes(7) is None
    assert eventually(lambda: memory._is_absent)
    assert ctypes.c_int.in_dll(library, "asked").value == 0


def test_an_old_driver_without_the_function_is_none() -> None:
    memory = GpuMemory(lambda: ctypes.CDLL(None))
    assert memory.used_bytes(7) is None
    assert eventually(lambda: memory._is_absent)


def test_a_gpu_that_hangs_holds_nobody_up() -> None:
    fell_off_the_bus = threading.Event()
    clock = Clock()
    memory = GpuMemory(fell_off_the_bus.wait, clock)
    threads = threading.active_count()
    for _ in range(5):
        assert memory.used_bytes(7) is None
        clock.now += ASK_EVERY_S
    assert threading.active_count() <= threads + 1, "one waits for it, not five"
    fell_off_the_bus.set()


def test_a_process_has_what_it_has_on_all_gpus(driver: Driver) -> None:
    library = driver(0)
    clock = Clock()
    memory = GpuMemory(lambda: library, clock)
    assert memory.used_bytes(7) is None, "the first answer is still to come"
    assert eventually(lambda: memory.used_bytes(7) == 3_000_000_000)
    assert memory.used_bytes(8) is None and memory.used_bytes(9) is None
    asked = ctypes.c_int.in_dll(library, "asked")
    assert asked.value == 2, "one question for all processes"
    clock.now += ASK_EVERY_S
    assert memory.used_bytes(7) == 3_000_000_000
    assert eventually(lambda: asked.value == 4)
    clock.now += 3600
    assert memory.used_bytes(7) is None, "an old answer is none"
