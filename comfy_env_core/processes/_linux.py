"""Linux: a pipe that makes the kernel kill the child's whole group when we are gone.

The child inherits the read end of a pipe, only we hold the write end, and the pipe is told to send SIGKILL
to the child's group when something happens on it (`F_SETOWN`, `F_SETSIG`, `O_ASYNC`; fcntl(2)). Nothing is
ever written, so the one thing that can happen is that the write end closes: with us, also after SIGKILL.
No thread or handler of the child takes part, so it works while the child sits in C code holding the GIL.
`prctl(PR_SET_PDEATHSIG)` was rejected: it follows the *thread* that started the child, spares
grandchildren, and needs code between fork and exec.

A process forked from us without exec holds a copy of the write end and keeps the child alive as long as it
lives itself. A child that closes file descriptors it did not open cuts the line.
"""

from __future__ import annotations

import sys

assert sys.platform == "linux"

import fcntl
import os
import select
import signal
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING

from comfy_env_core.processes._groups import await_end_by_polling, signal_group

F_SETSIG = 10  # linux/fcntl.h; the fcntl module of older interpreters does not name it

if TYPE_CHECKING:
    Stream = int | IO[bytes] | None


class Tether:
    """What ties one child to our life."""

    def __init__(self) -> None:
        self._their_end, self._our_end = os.pipe()

    def start(
        self,
        argv: list[str],
        *,
        env: dict[str, str],
        cwd: Path | None,
        stdout: Stream,
        stderr: Stream,
        stdin: Stream,
        pass_fds: tuple[int, ...],
    ) -> subprocess.Popen[bytes]:
        """Start the process in a session of its own and arm the line."""
        popen = subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdout=stdout,
            stderr=stderr,
            stdin=stdin,
            pass_fds=(*pass_fds, self._their_end),
            start_new_session=True,
        )
        fcntl.fcntl(self._their_end, fcntl.F_SETOWN, -popen.pid)
        fcntl.fcntl(self._their_end, F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(self._their_end, fcntl.F_GETFL)
        fcntl.fcntl(self._their_end, fcntl.F_SETFL, flags | os.O_ASYNC)
        self._close_their_end()
        return popen

    def await_end(self, popen: subprocess.Popen[bytes], timeout_s: float | None) -> bool:
        """Whether the process ended within `timeout_s`; it is not reaped."""
        if popen.returncode is not None:
            return True
        try:
            watched = os.pidfd_open(popen.pid)
        except (AttributeError, OSError):  # interpreter built on old headers, or a kernel before 5.3
            return await_end_by_polling(popen.pid, timeout_s)
        try:
            poller = select.poll()
            poller.register(watched, select.POLLIN)
            return bool(poller.poll(None if timeout_s is None else timeout_s * 1000))
        finally:
            os.close(watched)

    def terminate(self, popen: subprocess.Popen[bytes]) -> None:
        """SIGTERM to the group."""
        signal_group(popen, signal.SIGTERM)

    def kill(self, popen: subprocess.Popen[bytes]) -> None:
        """SIGKILL to the group."""
        signal_group(popen, signal.SIGKILL)

    def release(self) -> None:
        """Let go; whatever were still alive in the group would be killed by this."""
        self._close_their_end()
        if self._our_end >= 0:
            os.close(self._our_end)
            self._our_end = -1

    def _close_their_end(self) -> None:
        if self._their_end >= 0:
            os.close(self._their_end)
            self._their_end = -1
