"""A websocket of a pack's page: one to the browser, one to the worker, every message handed on."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from aiohttp import WSMsgType, hdrs, web

from comfy_env_core.comfyui.web import headers
from comfy_env_core.comfyui.web.lines import Line

#: What an end that went without a farewell is told to the other one as; how it is seen here may not be sent. Source:
#: RFC 6455, 7.4.1.
_INTERNAL_ERROR = 1011
_ABNORMAL = 1006


def is_websocket(request: web.Request) -> bool:
    """Whether the browser asks for one."""
    return request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"


async def forward_websocket(line: Line, request: web.Request) -> web.StreamResponse:
    """Runs until either side closes; the other one is closed with the same code and reason.

    The worker is asked first: if its handler declines, the browser gets that status. Raises aiohttp.ClientError if the
    worker is gone.
    """
    wanted = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "")
    protocols = [name.strip() for name in wanted.split(",") if name.strip()]
    sent = headers.without_handshake(headers.to_worker(request, line.token))
    url = line.url(request.rel_url.raw_path_qs)
    try:
        worker = await line.session.ws_connect(
            url, headers=sent, protocols=protocols, autoping=False, autoclose=False, max_msg_size=0
        )
    except aiohttp.WSServerHandshakeError as error:
        return web.Response(status=error.status, text=error.message)
    chosen = [worker.protocol] if worker.protocol else []
    browser = web.WebSocketResponse(protocols=chosen, autoping=False, autoclose=False, max_msg_size=0)
    async with worker:
        await browser.prepare(request)
        await _talk(browser, worker)
    return browser


async def _talk(browser: web.WebSocketResponse, worker: Any) -> None:
    ways = [
        asyncio.ensure_future(_hand_on(browser, worker)),
        asyncio.ensure_future(_hand_on(worker, browser)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        await browser.close(code=_farewell(worker))


async def _hand_on(source: Any, target: Any) -> None:
    """Any: aiohttp's two classes of websockets, which have these methods in common."""
    while True:
        message = await source.receive()
        if message.type is WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await target.send_bytes(message.data)
        elif message.type is WSMsgType.PING:
            await target.ping(message.data)
        elif message.type is WSMsgType.PONG:
            await target.pong(message.data)
        elif message.type is WSMsgType.CLOSE:
            await target.close(code=message.data or 1000, message=(message.extra or "").encode())
            return
        else:  # closed, or broken off
            await target.close(code=_farewell(source))
            return


def _farewell(source: Any) -> int:
    code = source.close_code
    return _INTERNAL_ERROR if code in (None, _ABNORMAL) else int(code)
