"""One log behind the routes and the websocket that the log view uses, on a real server; written to as a test wants.

    with LogServer() as server:
        server.log.write("first\\n")
        page.goto(server.url)          # a page with nothing but the view of this log; `view` is a global there

What the page gets is the project's own `web/`, with the policy that ComfyUI sends when it allows nothing remote.
"""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import WSMsgType, web
from patience import PATIENCE_S

WEB = Path(__file__).resolve().parents[2] / "web"
SOURCE = {"kind": "environment", "id": "pack/nodes"}
LEASE_S = 3.0
MOST_BYTES = 1024 * 1024
POLICY = (
    "default-src 'self'; img-src 'self' data:; connect-src 'self' ws:; "
    "script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
)

PAGE = """<!doctype html>
<html lang="en" style="color-scheme: %(scheme)s">
<meta charset="utf-8"><title>log</title>
<link rel="icon" href="data:,">
<style>body { margin: 0; padding: 8px; } %(theme)s</style>
<div id="place"></div>
<script type="module">
  import { LogView } from "./web/views/log.js";
  import { Server } from "./web/server.js";
  import { ownTransport } from "./web/transports.js";
  import { translator } from "./web/strings.js";

  const root = document.getElementById("place").attachShadow({ mode: "open" });
  const links = ["panel.css", "views/log.css"].map((name) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = new URL(`./web/${name}`, location.href);
    root.append(link);
    return new Promise((done) => (link.onload = done));
  });
  await Promise.all(links);
  window.show = () => {
    const server = new Server(ownTransport());
    window.view = new LogView({ server, source: %(source)s, t: translator("en") });
    root.append(view.element);
  };
  if (!location.hash.includes("later")) window.show();
</script>
</html>"""
THEMES = {
    "dark": ":root { --bg-color: #171718; --fg-color: #fff; } body { background: #171718; }",
    "light": ":root { --bg-color: #fff; --fg-color: #171718; } body { background: #fff; }",
}


class WrittenLog:
    """What a log holds, and the pages of it as the API gives them: whole lines, places in bytes."""

    def __init__(self) -> None:
        self.content = b""
        self.name = "log-1"
        self.has_ended = False

    def page(self, offset: int, limit: int) -> dict[str, Any]:
        """The lines from the one in which `offset` lies to the last that ends within `limit` bytes, at least one."""
        whole = self.content if self.has_ended else self.content[: self.content.rfind(b"\n") + 1]
        start = whole.rfind(b"\n", 0, offset) + 1
        stop = min(offset + min(limit, MOST_BYTES), len(whole))
        if stop < len(whole):
            stop = max(whole.rfind(b"\n", start, stop) + 1, whole.find(b"\n", offset) + 1)
        return self._piece(min(start, stop), stop) | {"size": len(self.content)}

    def tail(self, lines: int) -> dict[str, Any]:
        at = len(self.content)
        for _ in range(lines + 1):
            at = self.content.rfind(b"\n", 0, at)
            if at < 0:
                break
        return self.page(at + 1, MOST_BYTES)

    def piece(self, start: int) -> dict[str, Any]:
        return self._piece(start, len(self.content))

    def _piece(self, start: int, end: int) -> dict[str, Any]:
        return {"log": self.name, "start": start, "end": end, "text": self.content[start:end].decode()}


class LogServer:
    """Use as a context manager.

    - `earlier`: the logs before, the newest first.
    - `sends`: whether pieces are sent as events; without, followers hear nothing.
    - `refusal`: what every request for the log is answered with instead, as (status, code, message, remedy).
    - `asked`: the requests for the log so far, as "METHOD path?query".
    """

    def __init__(self, scheme: str = "dark") -> None:
        self.url = ""
        self._scheme = scheme
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="log server", daemon=True)
        self._runner: web.AppRunner | None = None
        self.reset()

    def reset(self) -> None:
        """As it was when it was made, at the same address."""
        self.log = WrittenLog()
        self.earlier: list[WrittenLog] = []
        self.sends = True
        self.refusal: tuple[int, str, str, str] | None = None
        self.asked: list[str] = []
        self._followers: set[str] = set()

    def __enter__(self) -> LogServer:
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def write(self, text: str) -> None:
        """Adds to the log, and tells the followers. Returns when that is sent."""
        self._call(self._write(text.encode()))

    def begin(self, text: str) -> None:
        """Another log takes this one's place, as at the next build."""
        self._call(self._begin(text.encode()))

    def disconnect(self) -> None:
        """Closes the websockets; pages connect again."""
        self._call(self._disconnect())

    @property
    def is_followed(self) -> bool:
        return bool(self._followers & self._sockets.keys())

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)

    async def _start(self) -> None:
        app = web.Application(middlewares=[self._guard])
        log = "/comfy-env/environments/{id}/log"
        app.router.add_get("/comfy-env/", self._page)
        app.router.add_get(log, self._read)
        app.router.add_post(log + "/follow", self._follow)
        app.router.add_delete(log + "/follow", self._unfollow)
        app.router.add_get("/ws", self._socket)
        app.router.add_static("/comfy-env/web/", WEB)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/comfy-env/"

    async def _stop(self) -> None:
        await self._disconnect()
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if "/log" in request.path and request.path.startswith("/comfy-env/environments/"):
            self.asked.append(f"{request.method} {request.path_qs}")
            if self.refusal is not None:
                return refused(*self.refusal)
        response: web.StreamResponse = await handler(request)
        if not isinstance(response, web.WebSocketResponse):
            response.headers["Content-Security-Policy"] = POLICY
            is_module = request.path.startswith("/comfy-env/web/")
            response.headers["Cache-Control"] = "max-age=600" if is_module else "no-store"
        return response

    async def _page(self, request: web.Request) -> web.Response:
        text = PAGE % {"scheme": self._scheme, "theme": THEMES[self._scheme], "source": json.dumps(SOURCE)}
        return web.Response(text=text, content_type="text/html")

    async def _read(self, request: web.Request) -> web.Response:
        query = {name: int(value) for name, value in request.query.items()}
        try:
            log = [self.log, *self.earlier][query.get("build", 0)]
        except IndexError:
            return refused(404, "no_log", "Nothing was written yet.", "")
        if "tail" in query:
            return web.json_response(log.tail(query["tail"]))
        return web.json_response(log.page(query["from"], query["limit"]))

    async def _follow(self, request: web.Request) -> web.Response:
        self._followers.add((await request.json())["client_id"])
        return web.json_response({"log": self.log.name, "end": len(self.log.content), "lease_s": LEASE_S})

    async def _unfollow(self, request: web.Request) -> web.Response:
        self._followers.discard((await request.json())["client_id"])
        return web.json_response({})

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client_id = request.query["clientId"]
        self._sockets[client_id] = socket
        async for message in socket:
            if message.type is WSMsgType.ERROR:
                break
        self._sockets.pop(client_id, None)
        return socket

    async def _write(self, content: bytes) -> None:
        start = len(self.log.content)
        self.log.content += content
        await self._tell(start)

    async def _begin(self, content: bytes) -> None:
        self.log.name = f"log-{int(self.log.name[4:]) + 1}"
        self.log.content = content
        await self._tell(0)

    async def _tell(self, start: int) -> None:
        if not self.sends:
            return
        event = {"type": "comfy-env.log", "data": {"source": SOURCE, **self.log.piece(start)}}
        for client_id, socket in list(self._sockets.items()):
            if client_id in self._followers:
                await socket.send_json(event)

    async def _disconnect(self) -> None:
        for socket in list(self._sockets.values()):
            await socket.close()


def refused(status: int, code: str, message: str, remedy: str) -> web.Response:
    error = {"code": code, "message": message, "remedy": remedy}
    return web.json_response({"error": error}, status=status)
