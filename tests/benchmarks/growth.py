"""How long a call takes for tensors of growing size, and what the machine alone needs for the same bytes.

usage: python -m benchmarks.growth [--largest BYTES] [--budget SECONDS]
Prints one JSON list: {"bytes", "in_fresh_s", "in_same_s", "out_s", "echo_s", "memcpy_s", "sum_s"} for each size.

in_fresh: a tensor the worker has not seen, summed there; in_same: the same tensor again; out: a tensor made in the
worker (making it not counted); echo: the same tensor there and back. memcpy and sum: in this process. Sizes for which
memory is not free are left out; the last entry before them is the largest that was.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.benchworker import BenchWorker
from benchmarks.measuring import Figures, median_within_s, print_figures, timed_s

SMALLEST, LARGEST, FACTOR = 1 << 10, 1 << 32, 4
COPIES = 3
"""How many tensors of a size there may be at once: ours, the segment, and a fresh copy or the worker's."""
ROOM_BYTES = 2 << 30
MANY = 300
SLOW_BYTES = 1 << 30
"""From here on one call of each kind is counted, where one may take seconds."""


def sizes(largest: int) -> list[int]:
    """1 KB and powers of four of it, up to `largest` bytes."""
    found = [SMALLEST]
    while found[-1] * FACTOR <= largest:
        found.append(found[-1] * FACTOR)
    return found


def free_bytes() -> int:
    """Memory that programs can have now (Linux)."""
    meminfo = Path("/proc/meminfo").read_text(encoding="ascii")
    return int(meminfo.partition("MemAvailable:")[2].split()[0]) * 1024


def fresh_copy(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor the worker has not seen. numpy makes it on this thread: torch would leave the threads of its clone
    spinning for some milliseconds, on the core that the worker needs for the call."""
    return torch.from_numpy(tensor.numpy().copy())


def measure(worker: BenchWorker, size_bytes: int, budget_s: float) -> Figures:
    """Medians in seconds, after one call of each kind that is not counted."""
    least = 1 if size_bytes >= SLOW_BYTES else 2
    tensor = torch.rand(size_bytes // 4)

    def durations(action: Callable[[Any], float], prepare: Callable[[], Any] = lambda: tensor) -> float:
        action(prepare())
        return median_within_s(prepare, action, budget_s=budget_s, least=least, most=MANY)

    def out_s(_: Any) -> float:
        start = time.perf_counter()
        result = worker.call("fresh", n=tensor.numel())
        float(result["tensor"][-1])
        return time.perf_counter() - start - float(result["made_in_s"])

    def total_s(value: Any) -> float:
        return timed_s(lambda: worker.call("total", value=value))

    figures = {
        "bytes": size_bytes,
        "in_fresh_s": durations(total_s, lambda: fresh_copy(tensor)),
        "in_same_s": durations(total_s),
        "out_s": durations(out_s),
        "echo_s": durations(lambda value: timed_s(lambda: worker.call("echo", value=value))),
        "sum_s": durations(lambda value: timed_s(lambda: float(value.sum()))),
    }
    target = torch.empty_like(tensor)
    figures["memcpy_s"] = durations(lambda value: timed_s(lambda: target.copy_(value)))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=LARGEST)
    parser.add_argument("--budget", type=float, default=0.3)
    options = parser.parse_args()
    found: list[Figures] = []
    with tempfile.TemporaryDirectory() as home, BenchWorker(Path(home)) as worker:
        for size_bytes in sizes(options.largest):
            if free_bytes() < COPIES * size_bytes + ROOM_BYTES:
                break
            found.append(measure(worker, size_bytes, options.budget))
    print_figures(found)


if __name__ == "__main__":
    main()
