"""A package index on loopback, with real wheels, that can be told to misbehave in the middle of a file."""

from __future__ import annotations

import enum
import hashlib
import http.server
import socket
import struct
import threading
from pathlib import Path


class Fault(enum.Enum):
    """What becomes of a download, half of it sent (of `REFUSE`, before any)."""

    DROP = "the connection is closed"
    RESET = "the connection is reset"
    STALL = "nothing more comes"
    REFUSE = "503"
    DAMAGE = "the second half is other bytes"


class WheelIndex:
    """Serves a directory of wheels as PEP 503; hand `handle` to `faulty_servers.http_server`.

    `fault` hits the next `times` downloads of wheels; `hits` counts them. `mended` lets stalled ones go.
    """

    def __init__(self, directory: Path) -> None:
        self._wheels = {path.name: path.read_bytes() for path in directory.glob("*.whl")}
        self._lock = threading.Lock()
        self._mended = threading.Event()
        self._fault: Fault | None = None
        self._left = 0
        self.hits = 0

    def break_down(self, fault: Fault, times: int) -> None:
        with self._lock:
            self._fault, self._left, self.hits = fault, times, 0
            self._mended.clear()

    def mend(self) -> None:
        with self._lock:
            self._fault = None
        self._mended.set()

    def handle(self, request: http.server.BaseHTTPRequestHandler) -> None:
        if request.path.startswith("/files/"):
            self._send_wheel(request, request.path.rpartition("/")[2])
        else:
            self._send_page(request, request.path.strip("/").rpartition("/")[2])

    def _send_page(self, request: http.server.BaseHTTPRequestHandler, project: str) -> None:
        names = [name for name in self._wheels if name.split("-")[0].lower().replace("_", "-") == project]
        digests = {name: hashlib.sha256(self._wheels[name]).hexdigest() for name in names}
        links = "".join(f'<a href="../../files/{name}#sha256={digests[name]}">{name}</a>' for name in names)
        page = f"<!DOCTYPE html><body>{links}</body>".encode()
        _begin(request, 200 if names else 404, "text/html", len(page))
        request.wfile.write(page)

    def _send_wheel(self, request: http.server.BaseHTTPRequestHandler, name: str) -> None:
        content = self._wheels.get(name)
        fault = self._next_fault() if content and request.command == "GET" else None
        if content is None or fault is Fault.REFUSE:
            _begin(request, 503 if content else 404, "text/plain", 0)
            return
        _begin(request, 200, "application/octet-stream", len(content))
        if request.command == "HEAD":
            return
        half = len(content) // 2
        request.wfile.write(content if fault is None else content[:half])
        if fault is Fault.DAMAGE:
            request.wfile.write(bytes(len(content) - half))
        elif fault is Fault.STALL:
            self._mended.wait(120)
        elif fault is Fault.RESET:
            request.wfile.flush()
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.close_connection = fault is not None

    def _next_fault(self) -> Fault | None:
        with self._lock:
            if self._fault is None or self._left <= 0:
                return None
            self._left -= 1
            self.hits += 1
            return self._fault


def _begin(request: http.server.BaseHTTPRequestHandler, status: int, kind: str, length: int) -> None:
    request.send_response(status)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(length))
    request.end_headers()
