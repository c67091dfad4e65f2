"""The worker's end of the connection, as its command line says."""

from __future__ import annotations

import os
import socket
import sys


def connect(arguments: list[str]) -> socket.socket:
    """The connected socket for `--descriptor N` (inherited) or `--port N` (loopback, token on stdin).

    The token proves to the host that this is the process it started: anyone on the machine may connect to a
    loopback port.
    """
    kind, number = arguments[0], int(arguments[1])
    if kind == "--descriptor":
        sock = socket.socket(fileno=number)
        # Programs that node code starts must not hold the connection open.
        sock.set_inheritable(False)
        return sock
    if kind != "--port":
        raise ValueError(f"A comfy-env worker is started with --descriptor or --port, not {kind!r}")
    token = sys.stdin.buffer.readline().strip()
    sock = socket.create_connection(("127.0.0.1", number))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(token + b"\n")
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    return sock
