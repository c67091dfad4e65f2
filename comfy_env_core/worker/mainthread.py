"""The main thread's work: libraries such as Blender's run nowhere else.

Work is taken from a queue, one piece after the other; while there is none, the thread itself reads what comes from the
host. From the first coroutine on, the same thread runs an event loop instead and takes the work there, so that other
calls go on while an async node waits: as in ComfyUI, a sync node blocks the loop.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    from comfy_env_core.wire.connection import Connection

Work = Callable[[], None]


class MainThread:
    """`post` from any thread; everything else on the main thread."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.is_stopping = False
        self.is_working = False

    def post(self, work: Work) -> None:
        """Have it run on the main thread, in order. It must not raise."""
        self._queue.put(work)
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._drain)

    def stop(self) -> None:
        """End `run` after the work that is under way; callable from any thread."""
        self.is_stopping = True
        self.post(_nothing)

    def run(self, connection: Connection) -> None:
        """Work until stopped."""
        while not self.is_stopping:
            if self._loop is not None:
                # Ends by _drain once stopped.
                self._loop.run_forever()
                break
            self._do(connection.take(self._queue))

    def create_task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine on the event loop, which is made for the first one."""
        if self._loop is None:
            import asyncio  # noqa: PLC0415  # costs 30 ms and 5 MB that workers with sync nodes need not pay

            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
            # Work may have been posted between our last look at the queue and the line above.
            self._loop.call_soon(self._drain)
        return self._loop.create_task(coroutine)

    def cancel_task(self, task: asyncio.Task[None]) -> None:
        """Cancel from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(task.cancel)

    def _drain(self) -> None:
        while True:
            try:
                work = self._queue.get_nowait()
            except queue.Empty:
                break
            self._do(work)
        if self.is_stopping and self._loop is not None:
            self._loop.stop()

    def _do(self, work: Work) -> None:
        self.is_working = True
        try:
            work()
        finally:
            self.is_working = False


class BesideThread:
    """For work that must not wait for the main thread; started when there is some."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def post(self, work: Work) -> None:
        """Have it run, in order. It must not raise."""
        self._queue.put(work)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="comfy-env objects", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            self._queue.get()()


def _nothing() -> None:
    pass
