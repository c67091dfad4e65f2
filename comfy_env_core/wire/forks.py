"""Callbacks for `os.register_at_fork`, which never forgets one."""

from __future__ import annotations

import weakref
from collections.abc import Callable


def weak_callback(method: Callable[[], None]) -> Callable[[], None]:
    """Calls a method as long as its object is alive, and does not keep it alive."""
    reference = weakref.WeakMethod(method)

    def call() -> None:
        alive = reference()
        if alive is not None:
            alive()

    return call
