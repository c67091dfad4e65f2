"""Calling the nodes of one worker, for tests of what goes on while they run."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fakepack import node_pack, request, spec_for
from patience import PATIENCE_S
from workers import StartWorker

from comfy_env_core.supervision import Worker, WorkerCall

#: A node of every pack here tells by this how many objects its worker has lent.
COUNT_LENT = """
def lent(self):
    import gc
    gc.collect()
    return sum(len(o) for o in gc.get_objects() if type(o).__name__ == "LentObjects")
"""


class Nodes:
    """`nodes("function", *args)` starts a call of a node in the worker."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    def __call__(self, function: str, *args: Any, **options: Any) -> WorkerCall:
        deadline = {"timeout_s": options.pop("timeout_s")} if "timeout_s" in options else {}
        sent = request(self.worker.spec.module_name, function, *args, **options)
        return self.worker.call("run", sent, **deadline)

    def get(self, function: str, *args: Any, **options: Any) -> Any:
        """The result of a call that this thread waits for."""
        return self(function, *args, **options).result(PATIENCE_S)

    def lent_by_host(self) -> int:
        """How many objects this process has lent to the worker."""
        gc.collect()
        connection = self.worker._connection
        assert connection is not None
        return len(connection.lent)


def start_nodes(parent: Path, start: StartWorker, body: str, before: str = "", **options: Any) -> Nodes:
    """A worker for a new pack with one node, whose methods are `body`."""
    memory = options.pop("memory", None)
    pack = node_pack(parent, body, before)
    with (pack / "__init__.py").open("r+", encoding="utf-8") as file:
        text = file.read().replace("\n\nNODE_CLASS", _indented(COUNT_LENT) + "\n\nNODE_CLASS", 1)
        file.seek(0)
        file.write(text)
    return Nodes(start(spec_for(pack, **options), memory=memory))


def eventually(condition: Callable[[], bool], patience_s: float = 5.0) -> None:
    """Wait until it holds."""
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.005)


def in_thread(action: Callable[[], Any]) -> Callable[[], Any]:
    """Begin it on a thread of its own; what is returned waits for the result, or raises what it raised."""
    outcome: list[tuple[Any, BaseException | None]] = []

    def run() -> None:
        try:
            outcome.append((action(), None))
        except BaseException as error:  # noqa: BLE001  # raised again by whoever waits
            outcome.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result() -> Any:
        thread.join(PATIENCE_S)
        assert outcome, "the thread hangs"
        value, error = outcome[0]
        if error is not None:
            raise error
        return value

    return result


def _indented(text: str) -> str:
    return "".join(f"    {line}" if line.strip() else line for line in text.splitlines(keepends=True))
