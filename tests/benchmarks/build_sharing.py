"""What twenty environments with the same torch take on the disk, and how long they take to be built."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from benchmarks.build_bench import Bench, Figure, disk_bytes

COUNT = 20
TORCH = "2.13.0"
LIMIT = 1.05


def measure(directory: Path, runs: int) -> list[Figure]:
    config = f'python = "3.11"\n\n[pypi-dependencies]\ntorch = "=={TORCH}"\n'
    bench = Bench(directory, {f"pack-{number:02}": f"# pack {number}\n{config}" for number in range(COUNT)})
    seconds: list[float] = []
    try:
        for number in range(COUNT):
            started = time.perf_counter()
            bench.build(f"pack-{number:02}")
            seconds.append(time.perf_counter() - started)
            if number == 0:
                one = disk_bytes(bench.store.root)
        all_of_them = disk_bytes(bench.store.root)
    finally:
        bench.builder.shutdown()
    return [
        Figure("store with one environment with torch", one / 1e6, "MB"),
        Figure(f"with {COUNT}, each file counted once", all_of_them / 1e6, "MB"),
        Figure("ratio", all_of_them / one, "", LIMIT),
        Figure("each after the first", statistics.median(seconds[1:]), "s"),
    ]
