"""The first words on a connection, readable whatever protocol version the peer speaks.

Each side sends `b"CEnv" | u16 protocol | u32 bytes | msgpack map` and reads the same. Only then frames follow. This
part never changes, so that two versions can at least tell each other who they are.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from typing import Any

import msgpack  # type: ignore[import-untyped]

from comfy_env_core import __version__
from comfy_env_core.wire.errors import PeerGone, ProtocolMismatch
from comfy_env_core.wire.protocol import PROTOCOL_VERSION

MAGIC = b"CEnv"
GREETING = struct.Struct("<4sHI")
MAX_GREETING_BYTES = 16 * 1024 * 1024


def send_greeting(sock: socket.socket, facts: Mapping[str, Any], *, protocol: int = PROTOCOL_VERSION) -> None:
    """Introduce ourselves with plain facts; `version` is added. Raises OSError if the peer is gone."""
    content = msgpack.packb({"version": __version__, **facts})
    sock.sendall(GREETING.pack(MAGIC, protocol, len(content)) + content)


def receive_greeting(sock: socket.socket, peer: str) -> dict[str, Any]:
    """The peer's facts. Raises PeerGone, ProtocolMismatch, or TimeoutError as the socket's timeout says."""
    magic, protocol, size = GREETING.unpack(_receive(sock, GREETING.size, peer))
    if magic != MAGIC or size > MAX_GREETING_BYTES:
        raise ProtocolMismatch(f"{peer} is not a comfy-env process: it began with {magic!r}")
    content = _receive(sock, size, peer)
    facts: dict[str, Any] = msgpack.unpackb(content)
    if protocol != PROTOCOL_VERSION:
        raise ProtocolMismatch(
            f"{peer} speaks protocol {protocol} (comfy-env manager {facts.get('version')}), this side speaks "
            f"{PROTOCOL_VERSION} ({__version__}). Was comfy-env manager updated while ComfyUI was running? "
            "Restart ComfyUI."
        )
    return facts


def _receive(sock: socket.socket, size: int, peer: str) -> bytes:
    received = bytearray()
    while len(received) < size:
        part = sock.recv(size - len(received))
        if not part:
            raise PeerGone(f"{peer} closed the connection before it had introduced itself")
        received += part
    return bytes(received)
