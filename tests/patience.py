"""Waiting for what another thread or process is about to do, without guessing how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Nothing takes so long; a machine that does ten other things may.
PATIENCE_S = 60.0


def eventually(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True
