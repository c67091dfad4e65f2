"""What an idle worker costs: the time to start one, and the memory that it holds when nothing is asked of it.

Run: ``nox -s bench -- workers [--starts 3]``. In ComfyUI's own Python, so that torch and ComfyUI are the real ones. Two
workers alike run at a time, and the second is measured: RSS counts a shared page of a library fully, PSS for each
process in parts, and "private" is what ending the worker gives back (bytes of `psutil`'s USS).

"start" is from nothing to the first answer (`ping`), "first node" the first call after it, which imports the pack. Both
are medians, with warm file caches.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgpack
from fakepack import RecordingServices, node_pack, request, spec_for

from benchmarks.measuring import timed_s
from comfy_env_core.supervision import Worker
from comfy_env_core.supervision.statistics import ProcessMemory, process_memory
from host.installation import STUBS, Installation, prepare

#: What packs import at their top, from little to much.
KINDS = {
    "nothing": "",
    "numpy": "import numpy\n",
    "torch": "import torch\n",
    "torch and ComfyUI": "import torch\nimport comfy.model_management\nimport comfy.sd\nimport comfy.utils\n",
}
BODY = "def run(self):\n    return 1\n"
MB = 1e6
START_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Cost:
    """One worker's."""

    start_s: float
    first_node_s: float
    memory: ProcessMemory


class Kind:
    """Workers whose pack imports the same. `libraries`: a folder with msgpack, which a built environment has."""

    def __init__(self, home: Path, imports: str, installation: Installation, libraries: Path) -> None:
        pack = node_pack(home, BODY, imports)
        self._spec = spec_for(
            pack,
            python=installation.python,
            prefix=installation.python.parents[1],
            comfyui=installation.comfyui if "comfy" in imports else None,
            host_facts={"cli_args": {"cpu": True}},
            env_vars={"PYTHONPATH": os.pathsep.join([str(libraries), str(STUBS)])},
        )

    def measure(self) -> Cost:
        """Of the second of two."""
        workers = [Worker(self._spec, RecordingServices()) for _ in range(2)]
        try:
            for worker in workers:
                start_s = timed_s(lambda worker=worker: self._start(worker))  # type: ignore[misc]
                first_node_s = timed_s(lambda worker=worker: self._run(worker))  # type: ignore[misc]
            pid = workers[-1].pid
            memory = process_memory(pid) if pid is not None else None
            if memory is None:
                raise RuntimeError(
                    f"The memory of process {pid} cannot be read; is it gone? {self._spec.log_path}"
                )
            return Cost(start_s, first_node_s, memory)
        finally:
            for worker in workers:
                worker.stop()

    def _start(self, worker: Worker) -> None:
        worker.start(START_TIMEOUT_S)
        worker.call("ping").result()

    def _run(self, worker: Worker) -> None:
        worker.call("run", request(self._spec.module_name, "run")).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=3)
    options = parser.parse_args()
    installation = prepare()
    with tempfile.TemporaryDirectory(prefix="bench-workers-") as name:
        home = Path(name)
        (home / "libraries").mkdir()
        (home / "libraries" / "msgpack").symlink_to(Path(msgpack.__file__).parent)
        print(f"{'imports':18}{'start':>9}{'first node':>12}{'RSS':>9}{'PSS':>9}{'private':>9}")
        for number, (label, imports) in enumerate(KINDS.items()):
            kind = Kind(home / str(number), imports, installation, home / "libraries")
            kind.measure()  # fills the caches of files and bytecode
            print(row(label, [kind.measure() for _ in range(options.starts)]), flush=True)


def row(label: str, costs: list[Cost]) -> str:
    """One line of the table: ms and MB."""
    start_ms = statistics.median(cost.start_s for cost in costs) * 1e3
    first_node_ms = statistics.median(cost.first_node_s for cost in costs) * 1e3
    memory = costs[-1].memory
    pss = f"{memory.pss_bytes / MB:.0f} MB" if memory.pss_bytes is not None else "-"
    return (
        f"{label:18}{start_ms:6.0f} ms{first_node_ms:9.0f} ms{memory.rss_bytes / MB:6.0f} MB{pss:>9}"
        f"{memory.private_bytes / MB:6.0f} MB"
    )


if __name__ == "__main__":
    main()
