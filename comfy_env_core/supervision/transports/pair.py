"""Linux and macOS: a pair of Unix sockets, of which the child inherits one.

No path, no port, nothing to accept: nobody else can connect, nothing can be left behind, and descriptors of shared
memory can be passed.
"""

from __future__ import annotations

import socket
import subprocess

from comfy_env_core.processes import Child


class SocketPairTransport:
    """See `Transport`."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self.arguments: tuple[str, ...] = ("--descriptor", str(self._theirs.fileno()))
        self.pass_fds: tuple[int, ...] = (self._theirs.fileno(),)
        self.stdin = subprocess.DEVNULL
        self._taken = False

    def connect(self, child: Child, timeout_s: float) -> socket.socket:
        """Our end; theirs is closed here, so that its end of file means the child is gone."""
        self._theirs.close()
        self._taken = True
        return self._ours

    def close(self) -> None:
        """Close both ends unless ours was taken."""
        self._theirs.close()
        if not self._taken:
            self._ours.close()
