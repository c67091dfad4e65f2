"""Messages to the page. Each carries a sequence number, so that a page which missed some can tell and fetch anew."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import TypedDict

from comfy_env_core.api.work import JobJson

#: Sends (event name, data) to every connected page.
Send = Callable[[str, "NodesEvent"], None]

NODES_EVENT = "comfy-env.nodes"


class NodesEvent(TypedDict):
    """Nodes became available, or changed, while ComfyUI runs."""

    sequence: int
    packs: list[str]
    nodes: list[str]


class EventFeed:
    """Numbers the events of one server run, from 1."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def job_changed(self, job: JobJson) -> None: ...

    def nodes_changed(self, pack: str, nodes: Sequence[str]) -> None:
        # The lock keeps the order of the numbers the order of sending.
        with self._lock:
            self._send(NODES_EVENT, {"sequence": next(self._numbers), "packs": [pack], "nodes": list(nodes)})
