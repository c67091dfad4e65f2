"""Lines at the bottom of a terminal that are rewritten in place, below whatever is logged meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TextIO

_ERASE_BELOW = "\x1b[J"
_UP = "\x1b[A"


class Bars:
    """Writes to `stream`, a terminal. Can stand for that stream in a logging handler. Thread-safe.

    Lines must be narrower than the terminal: one that wraps would not be erased.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._lines: tuple[str, ...] = ()

    def show(self, lines: Sequence[str]) -> None:
        """In place of those that stand there."""
        with self._lock:
            if tuple(lines) == self._lines:
                return
            erasing = self._erasing()
            self._lines = tuple(lines)
            self._emit(erasing + self._drawing())

    def write(self, text: str) -> int:
        """Above the lines. `text` ends in a newline."""
        with self._lock:
            self._emit(self._erasing() + text + self._drawing())
        return len(text)

    def flush(self) -> None:
        """Everything is flushed as it is written."""

    def _erasing(self) -> str:
        return "\r" + _UP * (len(self._lines) - 1) + _ERASE_BELOW if self._lines else ""

    def _drawing(self) -> str:
        return "\n".join(self._lines)

    def _emit(self, text: str) -> None:
        if text:
            self._stream.write(text)
            self._stream.flush()
