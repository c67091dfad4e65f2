"""What a worker costs to have: its start, and the memory it holds, without and with torch.

usage: python -m benchmarks.footprint [--starts 5]
Prints one JSON object: by "bare" and "torch" {"cold_s", "python_s", "imported_s"}, each a list, and of the worker
after its first call {"rss_mb", "pss_mb", "private_mb"}.

Starts (`cold_s`, to the answer to the first call) take turns with a bare interpreter that does the same imports, so
that both meet the same machine: `python_s` until it has ended, which takes torch a good part of a second, and
`imported_s` until it has imported. PSS counts a page of a library that two processes map as half a page for each; here
the other one is the host, which runs the same environment. Private memory is what ending the worker gives back.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.benchworker import IMPORTS, BenchWorker
from benchmarks.measuring import Figures, print_figures, timed_s


def memory_mb(pid: int) -> Figures:
    """Of one process, from the kernel's own sums (Linux 4.14)."""
    kb: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
        name, value, *_ = line.split()
        kb[name.rstrip(":")] = int(value)
    private_kb = kb["Private_Clean"] + kb["Private_Dirty"]
    return {"rss_mb": kb["Rss"] / 1024, "pss_mb": kb["Pss"] / 1024, "private_mb": private_kb / 1024}


def start_worker(home: Path, imports: str) -> tuple[float, Figures]:
    """Seconds from nothing to the first answer, and the memory it has then."""
    worker = BenchWorker(home, imports=imports)

    def start() -> None:
        worker.start()
        worker.call("echo", value=1)

    try:
        return timed_s(start), memory_mb(worker.pid)
    finally:
        worker.stop()


def python_s(code: str) -> float:
    """A fresh interpreter of this environment that runs `code` and ends."""
    return timed_s(lambda: subprocess.run([sys.executable, "-c", code], check=True))


def measure(home: Path, starts: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, imports in (("bare", "import os\n"), ("torch", IMPORTS)):
        start_worker(home / name, imports)  # fills the caches of files and bytecode
        times: dict[str, list[float]] = {"cold_s": [], "python_s": [], "imported_s": []}
        for _ in range(starts):
            times["python_s"].append(python_s(imports))
            start_s, memory = start_worker(home / name, imports)
            times["cold_s"].append(start_s)
            times["imported_s"].append(python_s(f"{imports}import os; os._exit(0)"))
        found[name] = {**times, **memory}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        print_figures(measure(Path(home), options.starts))


if __name__ == "__main__":
    main()
