"""ComfyUI's web server, as far as routes and pages meet it, without ComfyUI."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import uuid
from collections.abc import Sequence
from typing import Any

from aiohttp import WSMsgType, web
from patience import PATIENCE_S


class StageServer:
    """aiohttp on a thread of its own, with ComfyUI's way of mounting routes and its websocket at /ws."""

    def __init__(self, middlewares: Sequence[Any], port: int) -> None:
        self._middlewares = middlewares
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stage", daemon=True)
        self._pages: dict[str, web.WebSocketResponse] = {}
        self._messages: asyncio.Queue[tuple[str, Any, str | None]] = asyncio.Queue()
        self._runner: web.AppRunner | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def start(self, routes: web.RouteTableDef) -> str:
        """The address, once it listens."""
        self._thread.start()
        return asyncio.run_coroutine_threadsafe(self._open(routes), self._loop).result(PATIENCE_S)

    def send(self, event: str, data: Any, client_id: str | None) -> None:
        """In one row, and encoded on the event loop, as ComfyUI does."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._messages.put_nowait, (event, data, client_id))

    @property
    def waiting(self) -> int:
        """Messages that no page has taken yet."""
        return self._messages.qsize()

    def is_connected(self, client_id: str) -> bool:
        return client_id in self._pages

    def stop(self) -> None:
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(PATIENCE_S)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE_S)
        self._loop.close()

    async def _open(self, routes: web.RouteTableDef) -> str:
        app = web.Application(middlewares=self._middlewares, client_max_size=100 * 2**20)
        for route in routes:
            assert isinstance(route, web.RouteDef)
            app.router.add_route(route.method, "/api" + route.path, route.handler, **route.kwargs)
        app.add_routes(routes)
        app.router.add_get("/ws", self._websocket)
        app.router.add_get("/api/ws", self._websocket)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._publishing = asyncio.create_task(self._publish())
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        page = web.WebSocketResponse()
        await page.prepare(request)
        client_id = request.query.get("clientId") or uuid.uuid4().hex
        self._pages[client_id] = page
        status = {"status": {"exec_info": {"queue_remaining": 0}}, "sid": client_id}
        await page.send_str(json.dumps({"type": "status", "data": status}))
        try:
            async for message in page:
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            if self._pages.get(client_id) is page:
                del self._pages[client_id]
        return page

    async def _publish(self) -> None:
        while True:
            event, data, client_id = await self._messages.get()
            pages = [page for id_, page in self._pages.items() if client_id in (None, id_)]
            for page in pages:
                with contextlib.suppress(ConnectionError):  # it went away meanwhile
                    await page.send_json({"type": event, "data": data})

    async def _close(self) -> None:
        for page in list(self._pages.values()):
            await page.close()
        if self._runner is not None:
            await self._runner.cleanup()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
