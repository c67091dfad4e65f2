"""`ROUTES` in a module of an isolated pack: how packs written for comfy-env ask for HTTP routes.

    ROUTES = [{"method": "POST", "path": "/mesh/upload", "handler": "upload"}]

    def upload(body):  # the request's JSON
        return {"ok": True}  # or {"_status": 400, "error": "…"}

They become routes like those of `PromptServer.instance.routes`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from comfy_env_core.worker.web.registrations import Registrations

log = logging.getLogger("comfy-env.worker")


class RouteLists:
    """Those of all modules of the pack that have been imported. `package` is the name of the site's own module."""

    def __init__(self, registrations: Registrations, package: str) -> None:
        self._registrations = registrations
        self._package = package
        self._known: set[str] = set()

    def register_new(self) -> None:
        """Called after each import that the host asked for."""
        for module in self._modules():
            routes = getattr(module, "ROUTES", None)
            for route in routes if isinstance(routes, list) else ():
                if isinstance(route, dict) and route.get("path") and route.get("handler"):
                    self._register(module, route)

    def _modules(self) -> Iterator[ModuleType]:
        for name, module in list(sys.modules.items()):
            is_own = name == self._package or name.startswith(self._package + ".")
            if is_own and name not in self._known:
                self._known.add(name)
                yield module

    def _register(self, module: ModuleType, route: dict[str, Any]) -> None:
        handler = route["handler"]
        function = handler if callable(handler) else getattr(module, handler, None)
        if function is None:
            log.error("%s: ROUTES names the handler %r, which is not there.", module.__name__, handler)
            return
        method = str(route.get("method", "POST")).upper()
        self._registrations.routes.route(method, route["path"])(_answering(function))


def _answering(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """An aiohttp handler around one that takes and gives JSON. It may take long, so it has a thread."""

    async def answer(request: Any) -> Any:
        import asyncio  # noqa: PLC0415  # both are there when a request is: workers without routes need neither

        from aiohttp import web  # noqa: PLC0415

        try:
            body = await request.json()
        except ValueError as error:
            return web.json_response({"error": f"The request's body is no JSON: {error}"}, status=400)
        try:
            answer = await asyncio.get_running_loop().run_in_executor(None, function, body)
        except Exception as error:  # the pack's code
            log.exception("The handler of %s %s failed", request.method, request.path)
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=500)
        answer = dict(answer or {})
        return web.json_response(answer, status=answer.pop("_status", 200))

    return answer
