"""The thread that ComfyUI runs prompts on: the only one on which its models may be moved."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable


class PromptLoop:
    """ComfyUI's nodes run within an event loop, sync ones too. Between two of them it is free for others' work.

    `get_context`: ComfyUI's `get_executing_context`, None outside of a prompt.
    """

    def __init__(self, get_context: Callable[[], object | None]) -> None:
        self._get_context = get_context
        self._loop: asyncio.AbstractEventLoop | None = None

    def note(self) -> None:
        """A node is called: if it is one of a prompt (and no check of the server's), this is the loop."""
        if self._get_context() is not None:
            self._loop = asyncio.get_running_loop()

    def run(self, action: Callable[[], None], timeout_s: float) -> bool:
        """Does it on that thread; whether it was done. It is not when the thread is busy for so long, or has ended."""
        if _has_loop():
            action()
            return True
        loop = self._loop
        if loop is None or not loop.is_running():
            return False
        outcome = asyncio.run_coroutine_threadsafe(_do(action), loop)
        try:
            outcome.result(timeout_s)
        except (concurrent.futures.TimeoutError, concurrent.futures.CancelledError):
            outcome.cancel()
            return False
        return True


async def _do(action: Callable[[], None]) -> None:
    action()


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
