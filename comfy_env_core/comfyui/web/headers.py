"""Which headers of a message go on to the next connection."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web
from multidict import CIMultiDict

#: What the worker's gate wants of a forwarded request. The worker's part is worker/web/serving.py.
TOKEN = "X-Comfy-Env-Token"
REMOTE = "X-Comfy-Env-Remote"
SCHEME = "X-Comfy-Env-Scheme"

#: They belong to one connection, not to the message (RFC 9110, 7.6.1). `Expect` was answered by ComfyUI's server.
_OF_A_CONNECTION = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade", "expect"),
    )
)
_HANDSHAKE = "sec-websocket-"


def end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Those that belong to the message, in order, repeated ones included."""
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if name.lower() not in _OF_A_CONNECTION and name.lower() not in named
    )


def to_worker(request: web.Request, token: str) -> CIMultiDict[str]:
    """A request's headers, with what the worker cannot know: who asked, and by what scheme."""
    headers = end_to_end(request.headers)
    headers[TOKEN] = token
    headers[SCHEME] = request.scheme
    headers[REMOTE] = request.remote or ""
    return headers


def without_handshake(headers: CIMultiDict[str]) -> CIMultiDict[str]:
    """For a websocket: each of the two connections makes its own handshake."""
    return CIMultiDict(
        (name, value) for name, value in headers.items() if not name.lower().startswith(_HANDSHAKE)
    )
