"""Serves a pack's application to ComfyUI's process, and to nobody else.

On a socket file in a folder that only this user may enter; on Windows, which has none for asyncio, on a loopback port.
Every request has to carry a secret that was told to ComfyUI over the wire.
"""

from __future__ import annotations

import hmac
import os
import secrets
from typing import Any, NamedTuple

from comfy_env_core.worker.web.registrations import Registrations

#: What ComfyUI adds to a forwarded request; the pack never sees it. The host's part is comfyui/web/forwarding.py.
TOKEN_HEADER = "X-Comfy-Env-Token"
REMOTE_HEADER = "X-Comfy-Env-Remote"
SCHEME_HEADER = "X-Comfy-Env-Scheme"


class Address(NamedTuple):
    """Where the pack's routes are served: `path` of a socket file, or a loopback `port`; the other one is None."""

    path: str | None
    port: int | None
    token: str


class PackServer:
    """Started by the first request; ends with the process."""

    def __init__(self, registrations: Registrations) -> None:
        self._registrations = registrations
        self._address: Address | None = None

    def open(self, directory: str | None) -> Address:
        """Serve from now on; the address. `directory`: where the socket file may lie, None for a loopback port. By one
        thread at a time.

        Raises what a start-up function of the pack's application raises.
        """
        if self._address is None:
            self._address = self._registrations.loop.result_of(self._serve(directory))
        return self._address

    async def _serve(self, directory: str | None) -> Address:
        from aiohttp import web  # noqa: PLC0415  # there are routes, so it is there

        token = secrets.token_urlsafe(32)
        app = self._registrations.mount()
        app.middlewares.insert(0, _gate(web, token))
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        if directory is None:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return Address(None, runner.addresses[0][1], token)
        path = os.path.join(directory, f"{os.getpid()}.sock")
        await web.UnixSite(runner, path).start()
        return Address(path, None, token)


def _gate(web: Any, token: str) -> Any:
    """The outermost middleware: turns strangers away and shows the pack the request as the browser sent it."""
    expected = token.encode()

    async def gate(request: Any, handler: Any) -> Any:
        given = request.headers.get(TOKEN_HEADER, "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, expected):
            return web.Response(status=403)
        headers = request.headers.copy()
        headers.pop(TOKEN_HEADER)
        scheme = headers.pop(SCHEME_HEADER, "http")
        remote = headers.pop(REMOTE_HEADER, None)
        return await handler(request.clone(headers=headers, scheme=scheme, remote=remote))

    return web.middleware(gate)
