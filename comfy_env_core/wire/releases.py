"""Telling the owner which handles were dropped here."""

from __future__ import annotations

import threading
from collections.abc import Callable

from comfy_env_core.wire.handles import BorrowedObjects


class Releases:
    """Sends the keys of collected handles: before every call, and soon even if no call is made.

    A handle can be collected in any thread at any moment, also inside our own sending, so its finaliser only
    leaves a note. A thread waits for notes; it exists only once a handle was received.
    """

    def __init__(self, borrowed: BorrowedObjects, send: Callable[[list[list[int]]], None]) -> None:
        self._borrowed = borrowed
        self._send = send
        self._flushing = threading.Lock()
        borrowed.on_first = self._start

    def flush(self) -> None:
        """Send what was dropped so far; when it returns, it is on its way."""
        if not self._borrowed.dropped and not self._flushing.locked():
            return
        with self._flushing:
            taken = self._borrowed.take_dropped()
            if taken:
                self._send([[key, times] for key, times in taken])

    def _start(self) -> None:
        threading.Thread(
            target=self._run, name=f"comfy-env release {self._borrowed.owner}", daemon=True
        ).start()

    def _run(self) -> None:
        while self._borrowed.notes.get():
            self.flush()
