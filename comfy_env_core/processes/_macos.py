"""macOS and other Unixes: a watching shell that kills the child's group when we are gone.

These systems cannot send a signal when a pipe closes. So beside each child a shell of its own session reads
from a pipe whose write end only we hold: a line "done" makes it leave quietly, end of file without it means
that we are gone, and it kills the group. It costs one sleeping /bin/sh per child.
"""

from __future__ import annotations

import sys

assert sys.platform != "win32"

import os
import signal
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING

from comfy_env_core.processes._groups import await_end_by_polling, signal_group

WATCH = 'read -r word; [ "$word" = done ] || kill -s KILL -- "-$1"'

if TYPE_CHECKING:
    Stream = int | IO[bytes] | None


class Tether:
    """What ties one child to our life."""

    def __init__(self) -> None:
        self._watcher: subprocess.Popen[bytes] | None = None

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
        """Start the process in a session of its own, and its watcher."""
        popen = subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdout=stdout,
            stderr=stderr,
            stdin=stdin,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        try:
            self._watcher = subprocess.Popen(
                ["/bin/sh", "-c", WATCH, "comfy-env-watch", str(popen.pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            self.kill(popen)
            popen.wait()
            raise
        return popen

    def await_end(self, popen: subprocess.Popen[bytes], timeout_s: float | None) -> bool:
        """Whether the process ended within `timeout_s`; it is not reaped where the system allows that."""
        if popen.returncode is not None:
            return True
        if hasattr(os, "waitid"):
            return await_end_by_polling(popen.pid, timeout_s)
        try:  # Python before 3.13 on macOS has no waitid: the group may then outlive its leader's identifier
            popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def terminate(self, popen: subprocess.Popen[bytes]) -> None:
        """SIGTERM to the group."""
        signal_group(popen, signal.SIGTERM)

    def kill(self, popen: subprocess.Popen[bytes]) -> None:
        """SIGKILL to the group."""
        signal_group(popen, signal.SIGKILL)

    def release(self) -> None:
        """Send the watcher away and reap it."""
        watcher, self._watcher = self._watcher, None
        if watcher is None or watcher.stdin is None:
            return
        try:
            watcher.stdin.write(b"done\n")
            watcher.stdin.close()
        except BrokenPipeError:
            pass  # it was killed by someone else; the group it watched is gone already
        watcher.wait()
