"""A process that we started, together with everything it starts in turn."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

if sys.platform == "win32":
    from comfy_env_core.processes._windows import Tether
elif sys.platform == "linux":
    from comfy_env_core.processes._linux import Tether
else:
    from comfy_env_core.processes._macos import Tether

if TYPE_CHECKING:
    Stream = int | IO[bytes] | None


def spawn(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path | None,
    stdout: Stream,
    stderr: Stream,
    stdin: Stream = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> Child:
    """Start `argv` in a process group of its own that ends when we end, by whatever cause.

    `env` is the whole environment (see `clean_environment`). The caller owns the returned child and must
    see it ended: `wait` it or give it to `stop`. Raises OSError if the program cannot be started.
    """
    tether = Tether()
    arguments = [os.fspath(part) for part in argv]
    try:
        popen = tether.start(
            arguments,
            env=dict(env),
            cwd=cwd,
            stdout=stdout,
            stderr=stderr,
            stdin=stdin,
            pass_fds=tuple(pass_fds),
        )
    except BaseException:
        tether.release()
        raise
    return Child(popen, tether, arguments)


class Child:
    """A running or ended process. All methods may be called from any thread.

    When the process itself ends, what it left behind in its group is killed before it is reaped: a
    process identifier is free for reuse only afterwards, so the kill can never hit a stranger.
    """

    def __init__(self, popen: subprocess.Popen[bytes], tether: Tether, command: Sequence[str]) -> None:
        self.popen = popen
        self.pid = popen.pid
        self.command = tuple(command)
        self._tether = tether
        self._reaping = threading.Lock()
        self._exit_code: int | None = None

    def poll(self) -> int | None:
        """The exit code (negative = signal number), or None while it runs."""
        return self.wait(0)

    def wait(self, timeout_s: float | None = None) -> int | None:
        """The exit code once it has ended, or None if it is still running after `timeout_s`."""
        if self._exit_code is None and self._tether.await_end(self.popen, timeout_s):
            self._reap()
        return self._exit_code

    def terminate_tree(self) -> None:
        """Ask every process of the group to end (SIGTERM); no effect once the child is reaped."""
        with self._reaping:
            if self._exit_code is None:
                self._tether.terminate(self.popen)

    def kill_tree(self) -> None:
        """End every process of the group at once (SIGKILL); no effect once the child is reaped."""
        with self._reaping:
            if self._exit_code is None:
                self._tether.kill(self.popen)

    def _reap(self) -> None:
        with self._reaping:
            if self._exit_code is None:
                self._tether.kill(self.popen)
                self._exit_code = self.popen.wait()
                self._tether.release()

    def __repr__(self) -> str:
        state = "running" if self._exit_code is None else f"ended with {self._exit_code}"
        return f"<Child {self.pid} {self.command[0]!r} {state}>"
