"""Calls that block in the system (connecting, reading from a silent server), given up the moment somebody cancels."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

_CHECK_EVERY_S = 0.1

T = TypeVar("T")


class _Closable(Protocol):
    def close(self) -> object: ...


C = TypeVar("C", bound=_Closable)


def cancellable(work: Callable[[], T], check: Callable[[], None] | None) -> T:
    """What `work` returns or raises, or whatever `check` raises meanwhile; `work` then ends unheard on its thread.

    Without `check` there is nobody to cancel, and `work` is simply called.
    """
    if check is None:
        return work()
    outcome: queue.SimpleQueue[tuple[bool, T | BaseException]] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put((True, work()))
        except BaseException as error:  # noqa: BLE001 – raised again on the thread that waits for it
            outcome.put((False, error))

    # Daemon: a name server that is away may hold it longer than ComfyUI takes to exit.
    threading.Thread(target=run, name="comfy-env-network", daemon=True).start()
    while True:
        try:
            has_returned, value = outcome.get(timeout=_CHECK_EVERY_S)
        except queue.Empty:
            check()
            continue
        if has_returned:
            return value  # type: ignore[return-value]  # the flag tells a result from an error
        raise value  # type: ignore[misc]


def cancellable_opening(work: Callable[[], C], check: Callable[[], None] | None) -> C:
    """The same for what has to be closed: a result that comes too late is closed on its thread."""
    lock = threading.Lock()
    is_given_up = False

    def opening() -> C:
        opened = work()
        with lock:
            if is_given_up:
                opened.close()
        return opened

    try:
        return cancellable(opening, check)
    except BaseException:
        with lock:
            is_given_up = True
        raise
