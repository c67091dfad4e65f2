"""Builds: what they take beside the tools' own work, what they cost on the disk, and what none costs.

usage: python tests/benchmarks/bench_build.py [nothing|twins|overhead|sharing …] [--runs 3]   (nox sets the paths)

Real engine, real packages, an empty store in a temporary directory. Prints one line for each figure with its target.
Exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import build_nothing, build_overhead, build_sharing, build_twins
from benchmarks.build_bench import Figure

PARTS: dict[str, Callable[[Path, int], list[Figure]]] = {
    "nothing": build_nothing.measure,
    "twins": build_twins.measure,
    "overhead": build_overhead.measure,
    "sharing": build_sharing.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    are_held = True
    for name in options.parts or PARTS:
        directory = Path(tempfile.mkdtemp(prefix=f"comfy-env-bench-{name}-"))
        try:
            for figure in PARTS[name](directory, options.runs):
                print(figure, flush=True)
                are_held &= figure.is_held
        finally:
            shutil.rmtree(directory)
    return 0 if are_held else 1


if __name__ == "__main__":
    sys.exit(main())
