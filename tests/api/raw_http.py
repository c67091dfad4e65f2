"""HTTP as it is written, for requests that no client library would send."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from api.stage_server import StageServer
from patience import PATIENCE_S


@dataclasses.dataclass(frozen=True)
class RawAnswer:
    """Header names are in lower case; of a header that is there twice the last one counts."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def code(self) -> str | None:
        """Of an answer that has our error shape."""
        return self.error["code"] if self.error is not None else None

    @property
    def error(self) -> dict[str, str] | None:
        """The member of our error shape; None for an answer that has it not, exactly."""
        try:
            value: Any = json.loads(self.content)
        except ValueError:
            return None
        is_ours = isinstance(value, dict) and set(value) == {"error"}
        return value["error"] if is_ours and set(value["error"]) == {"code", "message", "remedy"} else None


def exchange(url: str, *parts: bytes, timeout_s: float = PATIENCE_S) -> RawAnswer:
    """Sends the bytes and reads one answer, whose connection the server may leave open."""
    address = urlsplit(url)
    assert address.hostname is not None and address.port is not None
    with socket.create_connection((address.hostname, address.port), timeout_s) as connection:
        with contextlib.suppress(ConnectionError):  # answered and closed before all was sent
            for part in parts:
                connection.sendall(part)
        return _read(connection, has_body=not parts[0].startswith(b"HEAD "))


def request(
    url: str, line: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b"", host: str | None = None
) -> RawAnswer:
    """`line`: method and target, written as they are. Sends the right Host unless `host` says another, "" for none."""
    sent = [(name, value) for name, value in headers]
    if host != "":
        sent.insert(0, ("Host", host or urlsplit(url).netloc))
    if body:
        sent.append(("Content-Length", str(len(body))))
    text = f"{line} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in sent) + "\r\n"
    return exchange(url, text.encode("utf-8") + body)


@contextlib.contextmanager
def serving(routes: web.RouteTableDef, middlewares: Sequence[Any] = ()) -> Iterator[str]:
    """The address of a server that has these routes, also below /api."""
    server = StageServer(middlewares, 0)
    try:
        yield server.start(routes)
    finally:
        server.stop()


def _read(connection: socket.socket, has_body: bool) -> RawAnswer:
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        headers: dict[str, str] = {}
        for line in iter(stream.readline, b"\r\n"):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        length = int(headers.get("content-length", 0)) if has_body else 0
        return RawAnswer(status, headers, stream.read(length))
