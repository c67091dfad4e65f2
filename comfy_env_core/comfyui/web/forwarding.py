"""Hands a request on to the worker of the pack whose route it is, and brings the answer back, both as streams."""

from __future__ import annotations

import contextlib
import logging

import aiohttp
from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

from comfy_env_core.comfyui.web import headers
from comfy_env_core.comfyui.web.lines import Line, Lines
from comfy_env_core.comfyui.web.sockets import forward_websocket, is_websocket
from comfy_env_core.comfyui.web.table import WebSite
from comfy_env_core.sites.failure import SiteNotReady

log = logging.getLogger("comfy-env")

#: Up to this length an answer is read before it is sent, so that middlewares can look into it.
_SHORT_BYTES = 256 * 1024


class Forwarder:
    """Answers requests for the routes of isolated packs. Lives on ComfyUI's event loop."""

    def __init__(self) -> None:
        self._lines = Lines()

    async def answer(self, site: WebSite, request: web.Request) -> web.StreamResponse:
        """The worker's answer; 502 or 503 with a JSON text if there is none, and the reason in the log."""
        try:
            return await self._answer(site, request)
        except aiohttp.ClientConnectorError:
            # The line's worker ended, and others still use the line. Nothing was sent, so any request may be sent anew.
            return await self._answer(site, request, is_last_try=True)

    async def _answer(
        self, site: WebSite, request: web.Request, *, is_last_try: bool = False
    ) -> web.StreamResponse:
        async with contextlib.AsyncExitStack() as stack:
            try:
                line = await stack.enter_async_context(self._lines.use(site))
            except Exception as error:  # noqa: BLE001  # a route's boundary: also what the pack's import raises
                return _no_worker(site, request, error)
            try:
                if is_websocket(request):
                    return await forward_websocket(line, request)
                upstream = await _send(line, request)
                stack.callback(upstream.close)
                if _is_short(upstream, request):
                    return await _whole(upstream)
            except aiohttp.ClientError as error:
                self._lines.forget(site, line)
                if isinstance(error, aiohttp.ClientConnectorError) and not is_last_try:
                    raise
                return _broken_off(site, request, error)
            return ForwardedResponse(site, upstream, stack.pop_all())


class ForwardedResponse(web.StreamResponse):
    """The worker's answer. ComfyUI's middlewares may still change its head; the body is fetched while it is sent.

    Owns the way to the worker until then.
    """

    def __init__(
        self, site: WebSite, upstream: aiohttp.ClientResponse, way: contextlib.AsyncExitStack
    ) -> None:
        super().__init__(
            status=upstream.status, reason=upstream.reason, headers=headers.end_to_end(upstream.headers)
        )
        self._site = site
        self._upstream = upstream
        self._way = way

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Called by aiohttp's server when all middlewares are through: sends everything."""
        async with self._way:
            writer = await super().prepare(request)
            try:
                async for chunk in self._upstream.content.iter_any():
                    await self.write(chunk)
            except aiohttp.ClientError as error:
                # The head is out: only a broken connection tells the browser that this is not all.
                if request.transport is not None:
                    request.transport.abort()
                message = (
                    f"The worker of {self._site.pack!r} broke off its answer to {request.path!r}: {error!r}"
                )
                log.error("%s", message)
                raise ConnectionResetError(message) from error
            return writer


def _is_short(upstream: aiohttp.ClientResponse, request: web.Request) -> bool:
    length_bytes = upstream.headers.get(hdrs.CONTENT_LENGTH, "")
    return (
        length_bytes.isdecimal()
        and int(length_bytes) <= _SHORT_BYTES
        and request.method != hdrs.METH_HEAD
        and hdrs.CONTENT_ENCODING not in upstream.headers
    )


async def _whole(upstream: aiohttp.ClientResponse) -> web.Response:
    """What the pack's handler returned, as ComfyUI's middlewares would see it: one that compresses wants a body."""
    kept = headers.end_to_end(upstream.headers)
    kept.popall(hdrs.CONTENT_LENGTH)  # aiohttp counts anew
    return web.Response(
        status=upstream.status, reason=upstream.reason, headers=kept, body=await upstream.read()
    )


async def _send(line: Line, request: web.Request) -> aiohttp.ClientResponse:
    return await line.session.request(
        request.method,
        line.url(request.rel_url.raw_path_qs),
        headers=headers.to_worker(request, line.token),
        data=request.content if request.body_exists else None,
        allow_redirects=False,
    )


def _no_worker(site: WebSite, request: web.Request, error: Exception) -> web.Response:
    if isinstance(error, SiteNotReady):
        return _problem(503, "not_ready", str(error))
    log.error(
        "%s %s: the worker of %r cannot answer.", request.method, request.path, site.pack, exc_info=error
    )
    return _problem(
        502, "no_worker", f"The worker process of {site.pack!r} could not be started. ComfyUI's log says why."
    )


def _broken_off(site: WebSite, request: web.Request, error: Exception) -> web.Response:
    log.error("%s %s: the worker of %r gave no answer: %r", request.method, request.path, site.pack, error)
    return _problem(
        502,
        "worker_lost",
        f"The worker process of {site.pack!r} ended before it answered. ComfyUI's log has its last lines; the next "
        "request starts it again.",
    )


def _problem(status: int, kind: str, message: str) -> web.Response:
    return web.json_response({"error": {"type": kind, "message": message}}, status=status)
