"""The event loop that stands for the one of ComfyUI's server: it runs beside the nodes, on a thread of its own."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

if sys.platform == "win32":
    _BaseLoop = asyncio.ProactorEventLoop
else:
    _BaseLoop = asyncio.SelectorEventLoop


class ServerLoop(_BaseLoop):
    """Runs from the moment it is made until the process ends.

    In ComfyUI packs are imported on the loop's own thread and call `loop.create_task` there; here they are imported on
    another one, so a plain `call_soon` has to wake the loop as well.
    """

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.Thread(target=self._run, name="comfy-env web", daemon=True)
        self._thread.start()

    # Any: the standard library's own signature is generic in a way that Python 3.9 cannot write.
    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.Handle:
        """As any loop's, from any thread."""
        if threading.current_thread() is self._thread:
            return super().call_soon(callback, *args, context=context)
        return super().call_soon_threadsafe(callback, *args, context=context)

    def result_of(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run it on this loop and wait; for other threads. Raises what it raises."""
        return asyncio.run_coroutine_threadsafe(coroutine, self).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self)
        self.run_forever()
