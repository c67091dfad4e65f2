"""What a worker costs to have: its start, and the memory it holds, without and with torch.

usage: python -m benchmarks.footprint [--starts 5]
Prints one JSON object: cold_torch_s and import_torch_s (lists), cold_bare_s and empty_python_s (lists), and for each of
"bare" and "torch" the worker's {"rss_mb", "pss_mb", "private_mb"} after its first call.

Starts take turns with a bare interpreter that does the same imports, so that both meet the same machine. A start ends
with the answer to the first call. PSS counts a page of a library that two processes map as half a page for each; here
that is the host, which runs the same environment; private memory is what ending the worker gives back.
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


def start_python(code: str) -> float:
    return timed_s(lambda: subprocess.run([sys.executable, "-c", code], check=True))


def measure(home: Path, starts: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    kinds = [
        ("bare", "", "cold_bare_s", "empty_python_s", ""),
        ("torch", IMPORTS, "cold_torch_s", "import_torch_s", "import torch"),
    ]
    for name, imports, own_key, python_key, code in kinds:
        start_worker(home / name, imports)  # fills the caches of files and bytecode
        found[own_key], found[python_key] = [], []
        for _ in range(starts):
            found[python_key].append(start_python(code))
            start_s, found[name] = start_worker(home / name, imports)
            found[own_key].append(start_s)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        print_figures(measure(Path(home), options.starts))


if __name__ == "__main__":
    main()
