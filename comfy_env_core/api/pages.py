"""The panel's own files: the page at `/comfy-env/`, and the modules that it and ComfyUI's sidebar load."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import TypeVar

from aiohttp import web

from comfy_env_core.api.guard import Policy
from comfy_env_core.api.mounting import HEADERS, refusing, refusing_method
from comfy_env_core.api.operation import PREFIX
from comfy_env_core.api.refusals import UNKNOWN_ROUTE

_Read = TypeVar("_Read")

#: The page among the files.
PAGE = "index.html"
#: What a browser takes each of them for. Files of other kinds are not served.
_MEDIA_TYPES: Mapping[str, str] = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_TEXTS = ("text/", "application/json", "image/svg+xml")

#: Asked for anew each time; unchanged files cost no transfer.
_HEADERS = {**HEADERS, "Cache-Control": "no-cache"}
#: What an address with an edition in it leads to is never another.
_LASTING_HEADERS = {**HEADERS, "Cache-Control": "max-age=31536000, immutable"}

#: The page takes nothing from elsewhere and runs nothing that stands in it. It says so itself as well (`index.html`):
#: with --disable-api-nodes ComfyUI puts a policy of its own in the place of this header.
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'"
)
#: No other page can put it into a frame, by the old header and the new one; a page cannot say this of itself.
_PAGE_HEADERS = {
    "Content-Security-Policy": f"{PAGE_POLICY}; frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
}


class Pages:
    """`directory`: what is served, in two ways.

    - `/web/<name>`: the file as it is now, for the modules that ComfyUI loads by an address of their own.
    - `/web-<edition>/<name>`: the file as it was when the page was shown that names this edition. Browsers keep it
      without asking again, and a page never gets one half of a panel from before an update and the other from after.
    """

    def __init__(self, directory: Path, policy: Policy, executor: Executor) -> None:
        self._shelf = Shelf(directory)
        self._policy = policy
        self._executor = executor

    def add(self, routes: web.RouteTableDef) -> None:
        """Adds the routes; HEAD comes with GET."""
        handlers = {
            "": self._lead_on,
            "/": self._show,
            "/web/{name:.*}": self._send,
            "/web-{edition}/{name:.*}": self._send_lasting,
        }
        for path, handler in handlers.items():
            routes.get(PREFIX + path)(refusing(handler))
            routes.route("*", PREFIX + path)(refusing_method(self._policy.admit, ["GET"]))

    async def _lead_on(self, request: web.Request) -> web.StreamResponse:
        self._policy.admit_page(request)
        # Relative, because a proxy may have put all of ComfyUI below a path of its own.
        return web.Response(status=308, headers={**_HEADERS, "Location": PREFIX.rpartition("/")[2] + "/"})

    async def _show(self, request: web.Request) -> web.StreamResponse:
        self._policy.admit_page(request)
        return _answer(request, await self._on_thread(self._shelf.page))

    async def _send(self, request: web.Request) -> web.StreamResponse:
        self._policy.admit(request, changes=False)
        return _answer(request, await self._on_thread(self._shelf.read, request.match_info["name"]))

    async def _send_lasting(self, request: web.Request) -> web.StreamResponse:
        self._policy.admit(request, changes=False)
        edition = await self._on_thread(self._shelf.edition, request.match_info["edition"])
        return _answer(request, edition.get(request.match_info["name"]), _LASTING_HEADERS)

    async def _on_thread(self, read: Callable[..., _Read], *arguments: str) -> _Read:
        return await asyncio.get_running_loop().run_in_executor(self._executor, read, *arguments)


def _answer(
    request: web.Request, found: ShownFile | None, headers: Mapping[str, str] = _HEADERS
) -> web.StreamResponse:
    if found is None:
        raise UNKNOWN_ROUTE.because(
            f"There is no file {request.match_info.get('name', PAGE)!r} in the panel.",
            "Reload the page; if it stays, update comfy-env manager.",
        )
    answered = {
        **headers,
        **(_PAGE_HEADERS if found.media_type == "text/html" else {}),
        "ETag": found.etag,
    }
    if _has_it(request, found.etag):
        return web.Response(status=304, headers=answered)
    return web.Response(
        body=found.content,
        content_type=found.media_type,
        charset="utf-8" if found.media_type.startswith(_TEXTS) else None,
        headers=answered,
    )


@dataclasses.dataclass(frozen=True)
class ShownFile:
    """`etag`: quoted, another one for every other content."""

    content: bytes
    media_type: str
    etag: str

    @classmethod
    def of(cls, content: bytes, media_type: str) -> ShownFile:
        return cls(content, media_type, f'"{_digest(content)}"')


class Shelf:
    """The files of a directory that may be served, by their names below it with "/". No name becomes a path: it is
    looked up among those that were found, without hidden files and without following links.

    Its methods read from the disk, and can be called on any thread.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._paths: Mapping[str, Path] = {}
        self._edition: tuple[str, Mapping[str, ShownFile]] | None = None

    def read(self, name: str) -> ShownFile | None:
        """The file as it is now; None if there is none. The directory is looked through for every unknown name."""
        if name not in self._paths:
            self._paths = self._found()
        path = self._paths.get(name)
        if path is None:
            return None
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        return ShownFile.of(content, _MEDIA_TYPES[path.suffix])

    def page(self) -> ShownFile | None:
        """The page, with the addresses of the files as they are now; None if there is none."""
        name, files = self._renewed()
        page = files.get(PAGE)
        if page is None:
            return None
        return ShownFile.of(page.content.replace(b'="web/', f'="web-{name}/'.encode()), page.media_type)

    def edition(self, name: str) -> Mapping[str, ShownFile]:
        """The files of an edition; none of any but the one that was shown last."""
        newest, files = self._edition or self._renewed()
        return files if name == newest else {}

    def _renewed(self) -> tuple[str, Mapping[str, ShownFile]]:
        self._paths = self._found()
        read = {name: self.read(name) for name in sorted(self._paths)}
        files = {name: file for name, file in read.items() if file is not None}
        name = _digest("\n".join(f"{file.etag} {name}" for name, file in files.items()).encode())
        self._edition = name, files
        return self._edition

    def _found(self) -> Mapping[str, Path]:
        found: dict[str, Path] = {}
        for place, folders, names in os.walk(self._directory):
            folders[:] = [folder for folder in folders if not folder.startswith(".")]
            for path in (Path(place, name) for name in names if not name.startswith(".")):
                if path.suffix in _MEDIA_TYPES and not path.is_symlink():
                    found[path.relative_to(self._directory).as_posix()] = path
        return found


def _has_it(request: web.Request, etag: str) -> bool:
    """Whether the browser's copy is the same (RFC 9110 §13.1.2); a proxy that compresses makes the tag weak."""
    known = re.findall(r'(?:W/)?("[^"]*")|(\*)', request.headers.get("If-None-Match", ""))
    return any(etag in one or "*" in one for one in known)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=12).hexdigest()
