"""Where a small call spends its time, by file of ours and by function of C, on the two threads that carry it.

usage: python -m benchmarks.anatomy [--calls 2000]
Prints one JSON object: by "host" and "worker" a list of [where, µs a call], the longest first.

Measured by cProfile on the calling thread and on the worker's main thread. It makes Python functions slower than they
are and C functions not, so this tells shares, not durations. Waiting is inside the C function that waits.
"""

from __future__ import annotations

import argparse
import cProfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch  # noqa: F401  # a host has it: values are looked at differently where it is loaded

from benchmarks.benchworker import IMPORTS, METHODS, BenchWorker
from benchmarks.measuring import print_figures
from benchmarks.ours import SMALL

WATCHED_IMPORTS = IMPORTS + "import cProfile\n"
WATCHED_METHODS = (
    METHODS
    + """
def watch(self):
    self.profile = cProfile.Profile()
    self.profile.enable()

def watched(self):
    self.profile.disable()
    return [
        [one.code if isinstance(one.code, str) else one.code.co_filename, one.inlinetime]
        for one in self.profile.getstats()
    ]
"""
)
PACKAGE = "comfy_env_core"
SHOWN = 9


def measure(home: Path, calls: int) -> dict[str, list[list[Any]]]:
    with BenchWorker(home, imports=WATCHED_IMPORTS, methods=WATCHED_METHODS) as worker:
        worker.call("echo", value=SMALL)
        worker.call("watch")
        profile = cProfile.Profile()
        profile.enable()
        for _ in range(calls):
            worker.call("echo", value=SMALL)
        profile.disable()
        found = {"worker": worker.call("watched")}
    found["host"] = [
        [one.code if isinstance(one.code, str) else one.code.co_filename, one.inlinetime]
        for one in profile.getstats()
    ]
    return {side: by_place(found[side], calls) for side in ("host", "worker")}


def by_place(entries: Iterable[list[Any]], calls: int) -> list[list[Any]]:
    """[where, µs a call] summed over each file of ours, each C function, and everything else written in Python."""
    sums: dict[str, float] = {}
    for code, own_s in entries:
        sums[place(code)] = sums.get(place(code), 0.0) + own_s
    ordered = sorted(sums.items(), key=lambda item: -item[1])
    return [[where, 1e6 * own_s / calls] for where, own_s in ordered[:SHOWN]]


def place(code: str) -> str:
    """A C function describes itself; a file is named as imports name it."""
    if not code.endswith(".py"):
        return code.strip("<>").removeprefix("built-in method ").removeprefix("method ")
    parts = Path(code).with_suffix("").parts
    if PACKAGE in parts:
        return ".".join(parts[parts.index(PACKAGE) + 1 :])
    return f"Python's {parts[-2] if parts[-1] == '__init__' else parts[-1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        print_figures(measure(Path(home), options.calls))


if __name__ == "__main__":
    main()
