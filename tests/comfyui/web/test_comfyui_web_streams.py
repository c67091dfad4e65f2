"""Long bodies, endless answers, files and websockets of isolated packs: nothing is held back, nothing is kept."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest
from aiohttp import WSMsgType
from patience import eventually
from webhost import WebPack, browser, play

MIB = 1024 * 1024


async def long_body(megabytes: int) -> AsyncIterator[bytes]:
    block = os.urandom(MIB)
    for _ in range(megabytes):
        yield block


def test_a_body_that_breaks_off_ends_the_handlers_reading(web_pack: WebPack, tmp_path: Path) -> None:
    site = web_pack(
        """
@routes.post("/upload")
async def upload(request):
    try:
        async for _ in request.content.iter_any():
            open(__file__ + ".begun", "w").close()
    except Exception as error:
        open(__file__ + ".ended", "w").close()
        raise
    return web.Response()
"""
    )
    begun, ended = (Path(site.modules[0]) / f"__init__.py.{name}" for name in ("begun", "ended"))

    async def scenario() -> None:
        async with browser(site) as client:
            _, writer = await asyncio.open_connection(client.host, client.port)
            writer.write(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nbegin")
            await asyncio.to_thread(eventually, begun.exists)
            writer.transport.abort()
            assert await asyncio.to_thread(eventually, ended.exists)

    play(scenario())


def test_an_endless_answer_ends_when_the_browser_goes_away(web_pack: WebPack) -> None:
    site = web_pack(
        """
@routes.get("/events")
async def events(request):
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    try:
        for number in range(10**6):
            await response.write(b"data: %d\\n\\n" % number)
            await asyncio.sleep(0.005)
    finally:
        open(__file__ + ".ended", "w").close()
"""
    )
    ended = Path(site.modules[0]) / "__init__.py.ended"

    async def scenario() -> None:
        async with browser(site) as client:
            answer = await client.get("/events")
            assert answer.content_type == "text/event-stream"
            assert await answer.content.readline() == b"data: 0\n"
            assert not ended.exists()
            answer.close()
            assert await asyncio.to_thread(eventually, ended.exists)

    play(scenario())


def test_300_megabytes_go_there_and_back_in_little_memory(web_pack: WebPack) -> None:
    site = web_pack(
        """
@routes.post("/turn")
async def turn(request):
    response = web.StreamResponse()
    await response.prepare(request)
    async for chunk in request.content.iter_any():
        await response.write(chunk)
    return response

@routes.get("/pid")
async def pid(request):
    return web.Response(text=str(os.getpid()))
"""
    )

    async def scenario() -> None:
        async with browser(site) as client:
            processes = [psutil.Process(), psutil.Process(int(await (await client.get("/pid")).text()))]
            before = [process.memory_info().rss for process in processes]
            answer = await client.post("/turn", data=long_body(300))
            received, most = 0, [0, 0]
            async for chunk in answer.content.iter_any():
                received += len(chunk)
                most = [max(size, p.memory_info().rss) for size, p in zip(most, processes, strict=True)]
            assert received == 300 * MIB
            assert all(now - then < 64 * MIB for now, then in zip(most, before, strict=True))

    play(scenario())


def test_an_upload_that_is_too_large_is_refused_by_the_handlers_own_reading(web_pack: WebPack) -> None:
    site = web_pack(
        """
@routes.post("/read")
async def read(request):
    return web.Response(text=str(len(await request.read())))
"""
    )

    async def scenario() -> None:
        async with browser(site) as client:
            assert await (await client.post("/read", data=b"x" * MIB)).text() == str(MIB)
            assert (await client.post("/read", data=long_body(101))).status == 413

    play(scenario())


def test_a_file_is_served_with_ranges_and_compressed_answers_stay_compressed(web_pack: WebPack) -> None:
    site = web_pack(
        """
@routes.get("/file")
async def file(request):
    return web.FileResponse(__file__)

@routes.get("/zip")
async def zip(request):
    response = web.Response(text="a" * 5000)
    response.enable_compression(web.ContentCoding.gzip)
    return response
"""
    )
    content = (Path(site.modules[0]) / "__init__.py").read_bytes()

    async def scenario() -> None:
        async with browser(site) as client:
            whole = await client.get("/file")
            assert await whole.read() == content and whole.headers["Content-Length"] == str(len(content))
            part = await client.get("/file", headers={"Range": "bytes=1-4"})
            assert (part.status, await part.read()) == (206, content[1:5])
            unchanged = await client.get("/file", headers={"If-None-Match": whole.headers["Etag"]})
            assert unchanged.status == 304
            head = await client.head("/file")
            assert head.headers["Content-Length"] == str(len(content)) and await head.read() == b""
            packed = await client.get("/zip")
            assert packed.headers["Content-Encoding"] == "gzip" and await packed.text() == "a" * 5000

    play(scenario())


def test_short_answers_are_compressed_where_comfyui_does_so(web_pack: WebPack) -> None:
    site = web_pack(
        """
@routes.get("/text/{length}")
async def text(request):
    return web.Response(text="a" * int(request.match_info["length"]))
"""
    )

    async def scenario() -> None:
        async with browser(site) as client:
            for length, coding in ((5000, "deflate"), (MIB, None), (0, None)):
                answer = await client.get(f"/text/{length}?compress")
                assert answer.headers.get("Content-Encoding") == coding
                assert await answer.text() == "a" * length

    play(scenario())


SOCKET = """
@routes.get("/socket")
async def socket(request):
    if "forbidden" in request.query:
        raise web.HTTPForbidden()
    ws = web.WebSocketResponse(protocols=["chat"])
    await ws.prepare(request)
    async for message in ws:
        if message.type == web.WSMsgType.BINARY:
            await ws.send_bytes(message.data[::-1])
        elif message.data == "die":
            os.kill(os.getpid(), 9)
        elif message.data == "close":
            await ws.close(code=4001, message=b"enough")
        else:
            await ws.send_str(message.data.upper())
    open(__file__ + ".ended", "w").write(str(ws.close_code))
    return ws
"""


def test_a_websocket_whose_worker_dies_is_closed_with_an_error(web_pack: WebPack) -> None:
    site = web_pack(SOCKET)

    async def scenario() -> None:
        async with browser(site) as client:
            ws = await client.ws_connect("/socket")
            await ws.send_str("die")
            message = await ws.receive()
            assert (message.type, ws.close_code) == (WSMsgType.CLOSE, 1011)

    play(scenario())


def test_a_websocket_that_the_handler_declines_is_declined(web_pack: WebPack) -> None:
    site = web_pack(SOCKET)

    async def scenario() -> None:
        async with browser(site) as client:
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await client.ws_connect("/socket?forbidden=1")
            assert caught.value.status == 403

    play(scenario())


def test_a_websocket_carries_messages_both_ways_and_closes_as_either_side_says(web_pack: WebPack) -> None:
    site = web_pack(SOCKET)
    ended = Path(site.modules[0]) / "__init__.py.ended"
    large = os.urandom(3 * MIB)

    async def scenario() -> None:
        async with browser(site) as client:
            ws = await client.ws_connect("/api/socket", protocols=["other", "chat"], max_msg_size=0)
            assert ws.protocol == "chat"
            await ws.send_str("hallo")
            assert await ws.receive_str() == "HALLO"
            await ws.send_bytes(large)
            assert await ws.receive_bytes() == large[::-1]
            await ws.send_str("close")
            message = await ws.receive()
            assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 4001, "enough")
            ended.unlink(missing_ok=True)

            ws = await client.ws_connect("/socket")
            await ws.close(code=4002)
            assert await asyncio.to_thread(eventually, ended.exists)

    play(scenario())
    assert eventually(lambda: ended.read_text() == "4002")
