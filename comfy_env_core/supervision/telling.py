"""Tells the lines of a worker to ComfyUI's log, at a pace that leaves ComfyUI its time.

Writing a line of the log takes ComfyUI's process, and its interpreter lock, about 30 µs, and much longer when its
terminal is slow. A node that logs without end would take all of it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from comfy_env_core.wire.log_records import LogLine

log = logging.getLogger("comfy-env.supervision")

#: Lines that wait to be told; of more, the oldest are left out, and their number is told.
MAX_WAITING = 5000
#: So many lines are told at a time, with a pause after them: at most 4000 a second.
_BATCH = 200
_PAUSE_S = 0.05


class Teller:
    """Gives lines to `on_line` on a thread of its own. Inside `with`; leaving it does not wait for the rest."""

    def __init__(self, name: str, log_path: Path, on_line: Callable[[LogLine], None]) -> None:
        self._on_line = on_line
        self._log_path = log_path
        self._waiting: deque[LogLine] = deque()
        self._left_out = 0
        self._is_over = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"comfy-env log {name}", daemon=True)

    def __enter__(self) -> Teller:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify()

    def tell(self, line: LogLine) -> None:
        """Have it told; returns at once."""
        with self._changed:
            if len(self._waiting) >= MAX_WAITING:
                self._waiting.popleft()
                self._left_out += 1
            self._waiting.append(line)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            lines = self._next_batch()
            if not lines:
                return
            for line in lines:
                try:
                    self._on_line(line)
                except Exception:  # a foreign log handler; the next line may do better
                    log.debug("A line of output could not be passed on", exc_info=True)
            if len(lines) >= _BATCH:
                time.sleep(_PAUSE_S)

    def _next_batch(self) -> list[LogLine]:
        """Waits for lines; none when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_over)
            lines = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            left_out, self._left_out = self._left_out, 0
        if left_out:
            text = f"{left_out} lines of output are left out here; they are in {self._log_path}"
            lines.insert(0, LogLine(logging.WARNING, "", text))
        return lines
