"""The one way in which a process of ours is ended."""

from __future__ import annotations

import logging
from collections.abc import Callable

from comfy_env_core.processes.child import Child

log = logging.getLogger("comfy-env.processes")

TERMINATE_GRACE_S = 2.0
KILL_GRACE_S = 10.0


def stop(child: Child, *, ask: Callable[[], None] | None = None, grace_s: float = 5.0) -> int:
    """Ask politely, wait, SIGTERM the group, wait, SIGKILL the group, reap; returns the exit code.

    `ask` may fail when the peer is already gone: that is logged and the ladder goes on. Negative codes are
    signals, as in `subprocess`. Raises TimeoutError if the process survives SIGKILL (stuck in the kernel).
    """
    code = child.poll()
    if code is None and ask is not None:
        _ask(child, ask)
        code = child.wait(grace_s)
    if code is None:
        child.terminate_tree()
        code = child.wait(min(grace_s, TERMINATE_GRACE_S))
    if code is None:
        child.kill_tree()
        code = child.wait(KILL_GRACE_S)
    if code is None:
        raise TimeoutError(
            f"Process {child.pid} ({child.command!r}) was killed but is still there after {KILL_GRACE_S:g} s; "
            "it is probably stuck in a device driver. It goes when the driver returns or at the next reboot."
        )
    return code


def _ask(child: Child, ask: Callable[[], None]) -> None:
    try:
        ask()
    except (OSError, RuntimeError) as error:
        log.debug("Could not ask process %d to end (%s); going on to terminate it", child.pid, error)
