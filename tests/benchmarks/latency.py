"""A small call beside the bare socket pair, batch by batch in turn, and what both cost this side's processor.

usage: python -m benchmarks.latency [--batches 10] [--calls 200]
Prints one JSON object: by "ours" and "floor" {"batch_us": the median of each batch, "p50_us", "p90_us",
"p99_us", "cpu_us"}.

In turn, because a round trip depends on what the cores did last: waking an idle one takes several times as long as
switching between two processes on a busy one, and both happen within a second.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch  # noqa: F401  # a host has it: values are looked at differently where it is loaded

from benchmarks.benchworker import BenchWorker
from benchmarks.floor import SocketPair
from benchmarks.measuring import print_figures, timed_s
from benchmarks.ours import SMALL


class Batches:
    """Durations of one kind of round trip, in seconds, and this process's processor time for them."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._action = action
        self._durations_s: list[list[float]] = []
        self._cpu_s = 0.0

    def add(self, calls: int) -> None:
        """One batch more."""
        cpu_start = time.process_time()
        self._durations_s.append([timed_s(self._action) for _ in range(calls)])
        self._cpu_s += time.process_time() - cpu_start

    def figures(self) -> dict[str, Any]:
        """Microseconds: the median of each batch; of all calls the 50th, 90th and 99th percentile and the mean CPU."""
        everything = [duration for batch in self._durations_s for duration in batch]
        percentiles = statistics.quantiles(everything, n=100)
        return {
            "batch_us": [1e6 * statistics.median(batch) for batch in self._durations_s],
            "p50_us": 1e6 * percentiles[49],
            "p90_us": 1e6 * percentiles[89],
            "p99_us": 1e6 * percentiles[98],
            "cpu_us": 1e6 * self._cpu_s / len(everything),
        }


def measure(home: Path, batches: int, calls: int) -> dict[str, Any]:
    with BenchWorker(home) as worker, SocketPair() as pair:
        kinds = {
            "ours": Batches(lambda: worker.call("echo", value=SMALL)),
            "floor": Batches(pair.round_trip),
        }
        worker.call("echo", value=1)
        pair.round_trip()
        for _ in range(batches):
            for kind in kinds.values():
                kind.add(calls)
    return {name: kind.figures() for name, kind in kinds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--calls", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        print_figures(measure(Path(home), options.batches, options.calls))


if __name__ == "__main__":
    main()
