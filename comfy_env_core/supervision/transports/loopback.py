"""Windows: TCP on the loopback interface, accepted once, with a one-time token passed on stdin.

Any process of the machine may connect to the port, so the first line on the connection must be the token, which
only our child was told. Descriptors cannot be passed; shared memory travels by its name (wire/segments/_windows.py).
"""

from __future__ import annotations

import secrets
import socket
import subprocess
import time

from comfy_env_core.processes import Child

POLL_S = 0.2


class LoopbackTransport:
    """See `Transport`."""

    def __init__(self) -> None:
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(4)
        self._token = secrets.token_hex(32).encode()
        self.port: int = self._listener.getsockname()[1]
        self.arguments: tuple[str, ...] = ("--port", str(self.port))
        self.pass_fds: tuple[int, ...] = ()
        self.stdin = subprocess.PIPE

    def connect(self, child: Child, timeout_s: float) -> socket.socket:
        """The connection on which the token came first; others are hung up on. Then nobody can connect any more."""
        assert child.popen.stdin is not None
        with child.popen.stdin as stdin:
            stdin.write(self._token + b"\n")
        deadline = time.monotonic() + timeout_s
        try:
            while True:
                sock = self._accept(child, deadline)
                if self._is_genuine(sock, deadline):
                    sock.settimeout(None)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    return sock
                sock.close()
        finally:
            self.close()

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    def _accept(self, child: Child, deadline: float) -> socket.socket:
        self._listener.settimeout(POLL_S)
        while True:
            try:
                return self._listener.accept()[0]
            except TimeoutError:
                pass
            if child.poll() is not None:
                raise ConnectionError("it ended before it connected")
            if time.monotonic() > deadline:
                raise TimeoutError("it did not connect in time")

    def _is_genuine(self, sock: socket.socket, deadline: float) -> bool:
        sock.settimeout(max(0.1, min(5.0, deadline - time.monotonic())))
        wanted = self._token + b"\n"
        received = b""
        try:
            while len(received) < len(wanted):
                part = sock.recv(len(wanted) - len(received))
                if not part:
                    return False
                received += part
        except OSError:
            return False
        return secrets.compare_digest(received, wanted)
