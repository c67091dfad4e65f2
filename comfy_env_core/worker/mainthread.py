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

from comfy_env_core.wire.reading import nudge

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
        self._lock = threading.Lock()
        self._left = 0  # pieces of work posted and not done
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself would let them be collected

    @property
    def is_busy(self) -> bool:
        """Whether work that is posted now may have to wait for other work."""
        return self._left > 0 or len(self._tasks) > 0

    def post(self, work: Work) -> None:
        """Have it run on the main thread, in order. It must not raise."""
        with self._lock:
            self._left += 1
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

            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            self._adopt(loop)
            task = loop.create_task(coroutine)
        else:
            task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def complete(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end before anything else, and give its result. Only on the main thread.

        Where an event loop runs, this is inside it, and it cannot run once more: then another thread has one of its
        own. Else a loop is made, which stays only if the coroutine left tasks behind: without one, calls are quicker.
        """
        import asyncio  # noqa: PLC0415  # see `create_task`

        if self._loop is not None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  # hardly ever needed

            with ThreadPoolExecutor(1) as executor:
                return executor.submit(asyncio.run, coroutine).result()
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            return loop.run_until_complete(coroutine)
        finally:
            if asyncio.all_tasks(loop):
                self._adopt(loop)
            else:
                asyncio.set_event_loop(None)
                loop.close()

    def _adopt(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # Work may have been posted between our last look at the queue and the line above.
        loop.call_soon(self._drain)

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
        if work is nudge:
            return
        try:
            work()
        finally:
            with self._lock:
                self._left -= 1


def _nothing() -> None:
    pass
