"""How a worker gets its end of the connection, per platform behind one interface.

A transport is made before the process, says what the process needs (`arguments`, `pass_fds`, `stdin`), and is
turned into a connected socket after it was started.
"""

from __future__ import annotations

import socket
import sys
from typing import Protocol

from comfy_env_core.processes import Child
from comfy_env_core.supervision.transports.loopback import LoopbackTransport
from comfy_env_core.supervision.transports.pair import SocketPairTransport

__all__ = ["LoopbackTransport", "SocketPairTransport", "Transport", "open_transport"]


class Transport(Protocol):
    """One conversation about to begin."""

    arguments: tuple[str, ...]  # what boot.py is told
    pass_fds: tuple[int, ...]
    stdin: int  # as subprocess takes it

    def connect(self, child: Child, timeout_s: float) -> socket.socket:
        """The connected socket, whose owner is the caller. Raises TimeoutError or OSError."""

    def close(self) -> None:
        """Close what is left of it; the socket `connect` returned stays open."""


def open_transport() -> Transport:
    """The transport of this platform."""
    return LoopbackTransport() if sys.platform == "win32" else SocketPairTransport()
