"""Threads for what no waiting thread performs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

#: How long a thread without work stays.
IDLE_S = 10.0

Work = Callable[[], None]


class Crew:
    """Begins every piece of work at once: on a thread that has none, or on a new one.

    One thread for all would be a trap: what it performs may wait for another piece to be performed.
    """

    def __init__(self, name: str, idle_s: float = IDLE_S) -> None:
        self._name = name
        self._idle_s = idle_s
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._free = 0  # threads that wait, less the work that is on its way to them

    def post(self, work: Work) -> None:
        """Have it run. It must not raise. Raises RuntimeError if the process may start no more threads."""
        with self._lock:
            is_free = self._free > 0
            if is_free:
                self._free -= 1
        if not is_free:
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        self._queue.put(work)

    def close(self) -> None:
        """No more work: threads without any end now, the others after what they do."""
        with self._lock:
            free, self._free = self._free, 0
        for _ in range(free):
            self._queue.put(None)

    def _run(self) -> None:
        while True:
            try:
                work = self._queue.get(timeout=self._idle_s)
            except queue.Empty:
                if self._may_leave():
                    return
                continue
            if work is None:
                return
            work()
            del work  # do not hold what it used while waiting for the next
            with self._lock:
                self._free += 1

    def _may_leave(self) -> bool:
        """Unless work was posted a moment ago that counts on this thread."""
        with self._lock:
            if not self._free:
                return False
            self._free -= 1
            return True
