"""Which isolated pack answers a request. Made of descriptions, so it is known without a worker.

ComfyUI's own routes are asked before this table (see `gateway`); within it the first site wins, as the first pack does
in ComfyUI.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comfy_env_core.supervision import WorkerCall

ANY_METHOD = "*"


@dataclasses.dataclass(frozen=True)
class WebSite:
    """One site, as far as the web is concerned.

    `modules`: those whose import registers everything. `web`: what they registered, see `worker.web.registrations`.
    `call(method, args)` calls the site's worker and may take as long as it takes to start one.
    """

    id: str
    pack: str
    modules: tuple[str, ...]
    web: Mapping[str, Any]
    call: Callable[[str, Sequence[Any]], WorkerCall]

    def has_prompt_handlers(self) -> bool:
        return bool(self.web.get("prompt_handlers"))


@dataclasses.dataclass(frozen=True)
class Folder:
    """Files that are served as they are. `tail` is the part of the request's path below it."""

    directory: Path
    follows_links: bool
    tail: str

    def file(self) -> Path | None:
        """The file that is asked for; None if there is none, or it lies outside of the folder."""
        base = self.directory.resolve()
        path = base / self.tail
        # As aiohttp: links below the folder may lead anywhere if they are followed, ".." may not.
        path = Path(os.path.normpath(path)) if self.follows_links else path.resolve()
        return path if path.is_relative_to(base) and path.is_file() else None


@dataclasses.dataclass(frozen=True)
class _Route:
    method: str
    pattern: re.Pattern[str]
    site: WebSite

    def answers(self, method: str, paths: Iterable[str]) -> bool:
        return self.method in (ANY_METHOD, method) and any(self.pattern.fullmatch(path) for path in paths)


class WebTable:
    """The routes and folders of all sites, in their order."""

    def __init__(self, sites: Iterable[WebSite]) -> None:
        self.sites = tuple(sites)
        self._routes = [
            _Route(method, re.compile(pattern), site)
            for site in self.sites
            for method, pattern in site.web.get("routes", ())
        ]
        self._folders = [entry for site in self.sites for entry in site.web.get("statics", ())]

    def site_for(self, method: str, path: str, raw_path: str) -> WebSite | None:
        """The site with a route for this; `raw_path` is the path as it was sent, `path` decoded."""
        for route in self._routes:
            if route.answers(method, (raw_path, path)):
                return route.site
        return None

    def folder_for(self, path: str) -> Folder | None:
        """The folder that a pack serves at this path."""
        for prefix, directory, follows_links in self._folders:
            if path.startswith(prefix + "/"):
                return Folder(Path(directory), follows_links, path[len(prefix) + 1 :])
        return None
