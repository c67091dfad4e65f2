"""Process groups, as Linux and macOS share them."""

from __future__ import annotations

import sys

assert sys.platform != "win32"

import os
import signal
import subprocess
import time

POLL_INTERVAL_S = 0.02


def signal_group(popen: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the group led by `popen`, which must not have been reaped yet."""
    try:
        os.killpg(popen.pid, number)
    except ProcessLookupError:
        pass  # everything in it is gone
    except PermissionError:
        pass  # macOS answers so when only the unreaped leader is left


def has_ended(pid: int) -> bool:
    """Whether the child has ended, without reaping it, so that its identifier stays taken."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True  # somebody else's SIGCHLD handler reaped it


def await_end_by_polling(pid: int, timeout_s: float | None) -> bool:
    """Wait until the child has ended, looking every 20 ms; False if it runs on after `timeout_s`."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while not has_ended(pid):
        if deadline is not None and time.monotonic() >= deadline:
            return False
        time.sleep(POLL_INTERVAL_S)
    return True
