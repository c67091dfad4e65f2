"""What a pack registered: routes, an application, prompt handlers; and the words for it that the host understands.

`describe` gives, and `wire` carries::

    {"routes": [[method or "*", pattern], ...], "statics": [[prefix, directory, follows links], ...],
     "prompt_handlers": number}

`pattern` is a regular expression for the whole path of a request, percent-encoded as aiohttp keeps it. The order is
the one in which ComfyUI would look.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from comfy_env_core.worker.web.old_folder import OldFolder
from comfy_env_core.worker.web.unserved import Unserved

if TYPE_CHECKING:
    from comfy_env_core.worker.web.loops import ServerLoop

log = logging.getLogger("comfy-env.worker")

#: ComfyUI serves every route of its route table under this prefix as well.
API_PREFIX = "/api"


class Registrations:
    """All of one worker. `routes` and `app` are aiohttp's own classes, or an `Unserved` where aiohttp is not there.

    `max_upload_bytes`: the largest body that `request.read()` and the like accept, as in ComfyUI. `source`: ComfyUI's
    source folder, if known.
    """

    def __init__(self, pack_name: str, max_upload_bytes: int, source: str | None = None) -> None:
        self._pack_name = pack_name
        self._max_upload_bytes = max_upload_bytes
        self._old_folder = OldFolder(source, pack_name)
        self._loop: ServerLoop | None = None
        self._routes: Any = None
        self._app: Any = None
        self.prompt_handlers: list[Callable[[Any], Any]] = []

    @property
    def loop(self) -> ServerLoop:
        """The server's event loop; made when it is first asked for."""
        if self._loop is None:
            from comfy_env_core.worker.web.loops import ServerLoop  # noqa: PLC0415  # imports asyncio

            self._loop = ServerLoop()
        return self._loop

    @property
    def routes(self) -> Any:
        """A `web.RouteTableDef`."""
        if self._routes is None:
            web = self._web()
            self._routes = self._unserved("routes") if web is None else web.RouteTableDef()
        return self._routes

    @property
    def app(self) -> Any:
        """A `web.Application` of the pack's own: its middlewares see the requests of this pack alone."""
        if self._app is None:
            web = self._web()
            self._app = (
                self._unserved("app")
                if web is None
                else web.Application(client_max_size=self._max_upload_bytes)
            )
        return self._app

    def describe(self) -> dict[str, Any]:
        """See the module. Imports nothing."""
        self._old_folder.tell()
        routes: list[list[str]] = []
        statics: list[list[Any]] = []
        for resource in self._resources():
            if type(resource).__name__ == "StaticResource":
                statics.append(_describe_static(resource))
            else:
                routes.extend([method, _pattern(resource)] for method in _methods(resource))
        return {"routes": routes, "statics": statics, "prompt_handlers": len(self.prompt_handlers)}

    def has_state(self) -> bool:
        """Whether something was registered that may remember what it answered."""
        return bool(self.prompt_handlers) or any(True for _ in self._resources())

    def mount(self) -> Any:
        """The application with all routes in it, ready to be served. Once only."""
        self._register(self.app.router)
        return self.app

    def rewrite_prompt(self, prompt: Any) -> Any:
        """What the prompt handlers make of a request to queue a prompt. One that fails is left out, as in ComfyUI."""
        for handler in list(self.prompt_handlers):
            try:
                prompt = handler(prompt)
            except Exception:  # the pack's code: the prompt goes on without it
                log.exception("The on_prompt handler %r of %r failed", handler, self._pack_name)
        return prompt

    def _resources(self) -> Iterator[Any]:
        if self._app is not None and not isinstance(self._app, Unserved):
            yield from self._app.router.resources()
        if self._routes is not None and not isinstance(self._routes, Unserved):
            web = self._web()
            assert web is not None, "a route table was made with it"
            router = web.UrlDispatcher()
            self._register(router)
            yield from router.resources()

    def _register(self, router: Any) -> None:
        """As ComfyUI does: first the table's routes below /api, then all of it."""
        if self._routes is None or isinstance(self._routes, Unserved):
            return
        for definition in [*_below_api(self._routes), *self._routes]:
            try:
                definition.register(router)
            except (ValueError, RuntimeError) as error:
                log.error("The route %s of %r cannot be served: %s", definition, self._pack_name, error)

    def _web(self) -> Any:
        try:
            from aiohttp import web  # noqa: PLC0415  # megabytes that packs without routes need not pay
        except ImportError:
            return None
        return web

    def _unserved(self, name: str) -> Unserved:
        return Unserved(f"PromptServer.instance.{name}", self._pack_name)


def _below_api(routes: Any) -> Iterator[Any]:
    from aiohttp import web  # noqa: PLC0415  # see Registrations._web

    for definition in routes:
        if isinstance(definition, web.RouteDef):
            path = API_PREFIX + definition.path
            yield web.RouteDef(definition.method, path, definition.handler, definition.kwargs)


def _pattern(resource: Any) -> str:
    info = resource.get_info()
    if "pattern" in info:
        return str(info["pattern"].pattern)
    if "prefix" in info:  # a sub-application
        return re.escape(str(info["prefix"])) + "(/.*)?"
    return re.escape(str(info.get("path", resource.canonical)))


def _methods(resource: Any) -> list[str]:
    return ["*"] if "app" in resource.get_info() else [route.method for route in resource]


def _describe_static(resource: Any) -> list[Any]:
    info = resource.get_info()
    # aiohttp keeps the option without a public name.
    follows_links = bool(getattr(resource, "_follow_symlinks", False))
    return [info["prefix"], str(info["directory"]), follows_links]
