"""A second pack with the same file: it shares the environment, and costs a link."""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks.build_bench import Bench, Figure, disk_bytes, timed

CONFIG = 'python = "3.12"\n\n[pypi-dependencies]\nnumpy = ">=2"\npillow = "*"\n'
REBUILD_S, SECOND_PACK_MS, SECOND_PACK_KB = 3.0, 100.0, 1000.0


def measure(directory: Path, runs: int) -> list[Figure]:
    bench = Bench(directory, {"one": CONFIG, "two": CONFIG})
    try:
        bench.build("one")
        again = []
        for _ in range(runs):
            bench.forget_environment("one")
            again.append(timed(lambda: bench.build("one")))
        before = disk_bytes(directory)
        second_s = timed(lambda: bench.build("two"))
        second_bytes = disk_bytes(directory) - before
    finally:
        bench.builder.shutdown()
    return [
        Figure("identical rebuild, warm caches", statistics.median(again), "s", REBUILD_S),
        Figure("second pack with the same file", second_s * 1e3, "ms", SECOND_PACK_MS),
        Figure("its disk", second_bytes / 1e3, "kB", SECOND_PACK_KB),
    ]
