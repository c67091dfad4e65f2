"""Routes that are imported when somebody asks for one, or when there is time.

What their handlers are made of is most of this package: importing it takes longer than all else that a start of ComfyUI
does for us.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor

from aiohttp import web

from comfy_env_core.api.mounting import path_ids, refusing
from comfy_env_core.api.operation import PREFIX


class LateRoutes:
    """Answers everything below the prefix that routes before it do not. `make`: called once, on a thread; of what it
    returns one route has to answer what the others do not."""

    def __init__(self, make: Callable[[], web.RouteTableDef], executor: Executor) -> None:
        self._make = make
        self._executor = executor
        self._making = threading.Lock()
        self._router: web.UrlDispatcher | None = None

    def add(self, routes: web.RouteTableDef) -> None:
        routes.route("*", PREFIX + "/{path:.*}")(refusing(self._answer))

    def make_soon(self) -> None:
        """The first to ask will not have to wait. Returns at once."""
        self._executor.submit(self._made)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        router = self._router
        if router is None:
            router = await asyncio.get_running_loop().run_in_executor(self._executor, self._made)
        found = await router.resolve(request)
        token = path_ids.set(found)
        try:
            return await found.handler(request)
        finally:
            path_ids.reset(token)

    def _made(self) -> web.UrlDispatcher:
        with self._making:
            if self._router is None:
                router = web.UrlDispatcher()
                for route in self._make():
                    assert isinstance(route, web.RouteDef)
                    for prefix in ("", "/api"):  # as ComfyUI mounts every route
                        router.add_routes(
                            [web.RouteDef(route.method, prefix + route.path, route.handler, route.kwargs)]
                        )
                self._router = router
            return self._router
