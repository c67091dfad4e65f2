"""Telling the owner what was dropped here."""

from __future__ import annotations

import threading
from collections.abc import Callable

from comfy_env_core.wire.objects.handles import BorrowedObjects, Released

#: How long to wait for a message that takes the releases along.
PATIENCE_S = 0.01


class Releases:
    """Sends the keys of what was collected: before every message, and soon even if none is sent.

    Something can be collected in any thread at any moment, also inside our own sending, so its finaliser only leaves a
    note. A thread waits for notes; it exists only once something was received.
    """

    def __init__(self, borrowed: BorrowedObjects, send: Callable[[list[Released]], None]) -> None:
        self._borrowed = borrowed
        self._send = send
        self._flushing = threading.Lock()
        self._ended = threading.Event()
        borrowed.on_first = self._start

    def flush(self) -> None:
        """Send what was dropped so far; when it returns, it is on its way."""
        if not self._borrowed.dropped and not self._flushing.locked():
            return
        with self._flushing:
            taken = self._borrowed.take_dropped()
            if taken:
                self._send(taken)

    def end(self) -> None:
        """There is nobody left to tell."""
        self._ended.set()

    def _start(self) -> None:
        threading.Thread(
            target=self._run, name=f"comfy-env release {self._borrowed.owner}", daemon=True
        ).start()

    def _run(self) -> None:
        while self._borrowed.notes.get():
            self._ended.wait(PATIENCE_S)
            self._borrowed.notice_again()
            self.flush()
