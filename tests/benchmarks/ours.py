"""Our own worker, measured as the peers' scripts measure theirs: same functions, order, counts and medians.

usage: python -m benchmarks.ours [--mb 128] [--calls 300]    Prints one JSON line.

One figure more than theirs: the fresh tensors are sent in two equal series. The first, `in_cold_GBs`, finds an empty
pool of segments and pays for the first touch of their pages; the second, `in_fresh_GBs`, has the pool warm.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.benchworker import BenchWorker
from benchmarks.measuring import Figures, median_each_s, median_s, print_figures

SMALL = {"a": 1, "b": "x" * 100}
LARGE_CALLS, IMAGE_CALLS = 5, 30


def measure(home: Path, mb: int, calls: int) -> Figures:
    start = time.perf_counter()
    with BenchWorker(home) as worker:
        worker.call("echo", value=1)
        figures = {"cold_s": time.perf_counter() - start}
        figures["small_us"] = 1e6 * median_s(lambda: worker.call("echo", value=SMALL), calls)
        figures["mb"] = mb
        tensor = torch.rand(mb * 1024 * 1024 // 4)
        figures.update(measure_large(worker, tensor))
        image = torch.rand(1, 1024, 1024, 3)
        echo_s = median_s(lambda: worker.call("echo", value=image), IMAGE_CALLS)
        figures["image_1024_echo_ms"] = 1e3 * echo_s
        figures.update(measure_in_process(tensor))
    return figures


def measure_large(worker: BenchWorker, tensor: torch.Tensor) -> Figures:
    """In, the same again, and out, in GB/s of the tensor's bytes; the worker's work on it included."""

    def total(value: torch.Tensor) -> None:
        worker.call("total", value=value)

    def out_s() -> float:
        start = time.perf_counter()
        result = worker.call("fresh", n=tensor.numel())
        float(result["tensor"][-1])
        return time.perf_counter() - start - float(result["made_in_s"])

    gigabytes = tensor.nbytes / 1e9
    total(tensor)
    figures = {}
    for key in ("in_cold_GBs", "in_fresh_GBs"):
        figures[key] = gigabytes / median_each_s(total, [tensor.clone() for _ in range(LARGE_CALLS)])
    figures["in_same_GBs"] = gigabytes / median_s(lambda: total(tensor), LARGE_CALLS)
    out_s()
    figures["out_GBs"] = gigabytes / statistics.median(out_s() for _ in range(LARGE_CALLS))
    return figures


def measure_in_process(tensor: torch.Tensor) -> Figures:
    """What this process does with the same tensor by itself, seconds later: a copy into warm memory, and a sum."""
    target = torch.empty_like(tensor)
    gigabytes = tensor.nbytes / 1e9
    return {
        "memcpy_GBs": gigabytes / median_s(lambda: target.copy_(tensor), LARGE_CALLS),
        "sum_GBs": gigabytes / median_s(lambda: float(tensor.sum()), LARGE_CALLS),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=128)
    parser.add_argument("--calls", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        print_figures(measure(Path(home), options.mb, options.calls))


if __name__ == "__main__":
    main()
