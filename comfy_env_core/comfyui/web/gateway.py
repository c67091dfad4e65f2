"""The middleware through which ComfyUI's server reaches isolated packs.

aiohttp takes no route once the server runs, while packs become ready at any time: so nothing is registered with it.
This middleware, the innermost, looks at every request that ComfyUI has no route for. ComfyUI's own middlewares, its
check of origins among them, come before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import unquote

from aiohttp import hdrs, web

from comfy_env_core.comfyui.web.forwarding import Forwarder
from comfy_env_core.comfyui.web.prompts import PromptHandlers
from comfy_env_core.comfyui.web.table import Folder, WebTable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_EXTENSIONS = "/extensions/"
_QUEUE_PATHS = frozenset({"/prompt", "/api/prompt"})
_READING = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})


class Gateway:
    """`table` may be replaced at any time, on the event loop. `extension_dirs`: ComfyUI's EXTENSION_WEB_DIRS, name →
    folder. Those that were added after the start have no route in ComfyUI, and those that were moved a wrong one."""

    def __init__(self, extension_dirs: Mapping[str, str]) -> None:
        self.table = WebTable(())
        self.prompts = PromptHandlers(lambda: [s for s in self.table.sites if s.has_prompt_handlers()])
        self._extension_dirs = extension_dirs
        self._forwarder = Forwarder()

    def middleware(self) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
        """For the application's list."""

        @web.middleware
        async def isolated_packs(request: web.Request, handler: Handler) -> web.StreamResponse:
            answer = None if self._is_comfyuis(request) else await self._answer(request)
            if answer is not None:
                return answer
            if request.method == hdrs.METH_POST and request.path in _QUEUE_PATHS:
                await self.prompts.prepare()
            return await handler(request)

        return isolated_packs

    async def _answer(self, request: web.Request) -> web.StreamResponse | None:
        site = self.table.site_for(request.method, request.path, request.rel_url.raw_path)
        if site is not None:
            return await self._forwarder.answer(site, request)
        folder = self._folder(request)
        if folder is None:
            return None
        path = await asyncio.get_running_loop().run_in_executor(None, folder.file)
        return web.FileResponse(path) if path is not None else None

    def _folder(self, request: web.Request) -> Folder | None:
        if request.method not in _READING:
            return None
        found = self.table.folder_for(request.path)
        if found is None and request.path.startswith(_EXTENSIONS):
            name, _, tail = request.path[len(_EXTENSIONS) :].partition("/")
            if name in self._extension_dirs:
                return Folder(Path(self._extension_dirs[name]), follows_links=False, tail=tail)
        return found

    def _is_comfyuis(self, request: web.Request) -> bool:
        """Whether ComfyUI, or a pack in its process, answers it. Its front end lies at "/" and takes what is left:
        packs come before it."""
        if request.match_info.http_exception is not None:
            return False
        resource = request.match_info.route.resource
        if not isinstance(resource, web.StaticResource):
            return True
        return resource.canonical != "" and not self._has_moved(resource)

    def _has_moved(self, resource: web.StaticResource) -> bool:
        """Whether it is the web folder of a pack that has another one by now."""
        if not resource.canonical.startswith(_EXTENSIONS):
            return False
        now = self._extension_dirs.get(unquote(resource.canonical[len(_EXTENSIONS) :]))
        return now is not None and Path(now).resolve() != resource.get_info()["directory"]
