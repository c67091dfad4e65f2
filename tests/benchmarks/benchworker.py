"""A worker with the peers' three node functions, called as a proxy calls one."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from fakepack import RecordingServices, node_pack, request, spec_for

from comfy_env_core.supervision import Worker

METHODS = """
def echo(self, value=None):
    return value

def total(self, value=None):
    return float(value.sum())

def fresh(self, n=1):
    start = time.perf_counter()
    tensor = torch.ones(n, dtype=torch.float32)
    return {"tensor": tensor, "made_in_s": time.perf_counter() - start}
"""
IMPORTS = "import time\nimport torch\n"
START_TIMEOUT_S = 120.0


class BenchWorker:
    """One worker in the interpreter that runs this, so both sides have the same packages. `home` is its own folder.

    `imports` and `methods` are the source of the node.
    """

    def __init__(self, home: Path, *, imports: str = IMPORTS, methods: str = METHODS) -> None:
        pack = node_pack(home, methods, before=imports)
        self._worker = Worker(spec_for(pack, python=sys.executable), RecordingServices())

    def start(self) -> None:
        """Start it and wait until it takes calls; the pack is imported by the first call."""
        self._worker.start(START_TIMEOUT_S)

    def stop(self) -> None:
        """End it, also if it never started."""
        self._worker.stop()

    def __enter__(self) -> BenchWorker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its process."""
        pid = self._worker.pid
        assert pid is not None, "the worker is not running"
        return pid

    def call(self, function: str, **values: Any) -> Any:
        """What the node's function returns, waited for."""
        return self._worker.call("run", request(self._worker.spec.module_name, function, **values)).result()
