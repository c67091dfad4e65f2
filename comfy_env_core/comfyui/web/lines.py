"""The way to the routes of each pack's worker: where they are served, and a client that reaches only there."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from yarl import URL

from comfy_env_core.comfyui.web.table import WebSite

#: How often a request whose pack is being imported looks whether it can go on.
_LOOK_EVERY_S = 0.1
#: The path of a socket has 104 bytes on macOS, 108 on Linux; below the folder for temporary files come our own folder
#: and the file, 32 bytes.
_LONGEST_FOLDER_BYTES = 70


@dataclasses.dataclass
class Line:
    """An open way to one worker. `lease` is an object of the worker: it is kept running as long as we hold one."""

    session: aiohttp.ClientSession
    origin: URL
    token: str
    lease: object
    users: int = 0

    def url(self, path_and_query: str) -> URL:
        """`path_and_query` as it was sent, which is how it goes on."""
        return URL(str(self.origin) + path_and_query, encoded=True)


class Lines:
    """One line per site while requests use it. Lives on one event loop.

    Asking the worker again for each burst of requests costs a millisecond, and needs no rule for what is still true:
    a worker that ended meanwhile is started by the asking.
    """

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._directory: str | None = None

    @contextlib.asynccontextmanager
    async def use(self, site: WebSite) -> AsyncIterator[Line]:
        """The line, opened if need be, which may start a worker. Raises what `WebSite.call` raises, and what the pack's
        import or its application's start-up raises."""
        line = await self._take(site)
        try:
            yield line
        finally:
            line.users -= 1
            if line.users == 0:
                await self._close(site, line)

    def forget(self, site: WebSite, line: Line) -> None:
        """The worker at its end is gone: the next request opens another one."""
        if self._lines.get(site.id) is line:
            del self._lines[site.id]

    async def _take(self, site: WebSite) -> Line:
        async with self._locks.setdefault(site.id, asyncio.Lock()):
            line = self._lines.get(site.id)
            if line is None:
                line = self._lines[site.id] = await self._open(site)
            line.users += 1
            return line

    async def _open(self, site: WebSite) -> Line:
        answer = await asyncio.get_running_loop().run_in_executor(
            None, _ask_for_address, site, self._socket_directory()
        )
        path, port, token = answer["address"]
        connector: aiohttp.BaseConnector
        # A connection each: one that idled could be dead, and requests cannot all be sent twice.
        if path is not None:
            connector = aiohttp.UnixConnector(path, limit=0, force_close=True)
        else:
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            trust_env=False,
        )
        origin = URL.build(scheme="http", host="127.0.0.1", port=port or 80)
        return Line(session, origin, token, answer["lease"])

    def _socket_directory(self) -> str | None:
        """Where workers put their socket files: nobody but this user may enter it. None: they use loopback ports."""
        if sys.platform == "win32" or len(os.fsencode(tempfile.gettempdir())) > _LONGEST_FOLDER_BYTES:
            return None
        if self._directory is None:
            self._directory = tempfile.mkdtemp(prefix="comfy-env-")
            # Also at the end of the process.
            weakref.finalize(self, shutil.rmtree, self._directory, ignore_errors=True)
        return self._directory

    async def _close(self, site: WebSite, line: Line) -> None:
        self.forget(site, line)
        line.lease = None
        await line.session.close()


def _ask_for_address(site: WebSite, directory: str | None) -> Any:
    from comfy_env_core.supervision import WorkerCrashed, WorkerStopped  # noqa: PLC0415  # not at a warm start

    try:
        return ask_loaded(site, "open_web", directory)
    except (WorkerCrashed, WorkerStopped):
        # It died a moment ago, and that it did is known only now.
        return ask_loaded(site, "open_web", directory)


def ask_loaded(site: WebSite, method: str, argument: Any) -> Any:
    """Calls a method of the worker that needs the pack's modules imported, and has them imported first if they are not.

    Waits, so it is for a thread of its own. Raises what the call and the import raise.
    """
    for _ in range(2):
        answer = site.call(method, [list(site.modules), argument]).result()
        if "missing" not in answer:
            return answer
        load_all(site)
    raise RuntimeError(
        f"Modules {answer['missing']!r} of {site.id!r} were imported, but then its worker was another one. Try again."
    )


def load_all(site: WebSite) -> None:
    """Has the worker import the pack's modules, if it did not. Waits, and raises what the import raises."""
    missing = site.call("missing", [list(site.modules)]).result()
    if not missing:
        return
    loading = site.call("load", [missing])
    while not loading.wait(_LOOK_EVERY_S):
        # It waits for a node that runs, and that node may have imported them itself.
        if not site.call("missing", [list(site.modules)]).result():
            return
    loading.result()
