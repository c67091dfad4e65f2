"""Requests for routes of isolated packs, through the gateway to a real worker and back."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from fakepack import request
from multidict import CIMultiDict
from patience import PATIENCE_S, eventually
from webhost import WebPack, browser, play
from yarl import URL

from comfy_env_core.comfyui.web.lines import ask_loaded
from comfy_env_core.comfyui.web.table import WebSite
from comfy_env_core.sites.failure import SiteNotReady
from comfy_env_core.supervision import WorkerError


def test_a_worker_that_is_killed_during_a_request_is_a_502_that_says_so(web_pack: WebPack) -> None:
    site = web_pack(
        """
@routes.get("/die")
async def die(request):
    os.kill(os.getpid(), 9)

@routes.get("/live")
async def live(request):
    return web.Response(text="again")
"""
    )

    async def scenario() -> None:
        async with browser(site) as client:
            answer = await client.get("/die")
            assert answer.status == 502
            error = (await answer.json())["error"]
            assert error["type"] == "worker_lost" and "'fake-pack'" in error["message"]
            assert await (await client.get("/live")).text() == "again"

    play(scenario())


def test_an_answer_that_breaks_off_is_broken_off_for_the_browser(web_pack: WebPack) -> None:
    site = web_pack(
        """
@routes.get("/half")
async def half(request):
    response = web.StreamResponse(headers={"Content-Length": "1000000"})
    await response.prepare(request)
    await response.write(b"half")
    os.kill(os.getpid(), 9)
"""
    )

    async def scenario() -> None:
        async with browser(site) as client:
            answer = await client.get("/half")
            assert answer.status == 200
            with pytest.raises(aiohttp.ClientError):
                await answer.read()

    play(scenario())


def test_a_handler_that_raises_is_a_500_with_the_traceback_in_the_log_alone(
    web_pack: WebPack, caplog: pytest.LogCaptureFixture
) -> None:
    site = web_pack(
        """
@routes.get("/bug")
async def bug(request):
    raise RuntimeError("secret path")
"""
    )

    async def scenario() -> None:
        async with browser(site) as client:
            answer = await client.get("/bug")
            assert answer.status == 500
            assert "secret" not in await answer.text()

    caplog.set_level("INFO")
    play(scenario())
    assert eventually(lambda: "RuntimeError: secret path" in caplog.text)


def test_a_pack_whose_import_fails_is_a_502_with_the_reason_in_the_log(
    web_pack: WebPack, caplog: pytest.LogCaptureFixture
) -> None:
    site = web_pack(
        """
if os.path.exists(__file__ + ".broken"):
    raise ImportError("no such library")

@routes.get("/x")
async def x(request):
    return web.Response()
"""
    )
    (Path(site.modules[0]) / "__init__.py.broken").touch()

    async def scenario() -> None:
        async with browser(site) as client:
            answer = await client.get("/x")
            assert answer.status == 502
            assert "no such library" not in await answer.text()

    play(scenario())
    assert "no such library" in caplog.text


def test_a_site_that_is_not_ready_is_a_503_that_says_why() -> None:
    def call(method: str, args: object) -> Any:
        raise SiteNotReady("The environment of 'p' is still building.")

    site = WebSite("p", "p", ("p",), {"routes": [["GET", "/x"]]}, call)

    async def scenario() -> None:
        async with browser(site) as client:
            answer = await client.get("/x")
            assert answer.status == 503
            assert (await answer.json())["error"]["message"] == "The environment of 'p' is still building."

    play(scenario())


def test_a_worker_that_is_another_one_after_the_import_is_a_502_and_no_endless_loop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def call(method: str, args: object) -> Any:
        answer = ["p"] if method == "missing" else {"missing": ["p"]}
        return SimpleNamespace(result=lambda: answer, wait=lambda timeout_s: True)

    site = WebSite("p", "p", ("p",), {"routes": [["GET", "/x"]]}, call)

    async def scenario() -> None:
        async with browser(site) as client:
            assert (await client.get("/x")).status == 502

    play(scenario())
    assert "its worker was another one" in caplog.text


@pytest.mark.parametrize(("wrong_addresses", "status"), [(1, 200), (2, 502)])
def test_a_line_that_leads_nowhere_any_more_is_opened_anew_once(
    web_pack: WebPack, wrong_addresses: int, status: int
) -> None:
    site = web_pack(
        """
@routes.post("/x")
async def x(request):
    return web.Response(text=await request.text())
"""
    )
    left = [{"address": ["/nowhere.sock", None, "token"], "lease": None}] * wrong_addresses

    def call(method: str, args: Any) -> Any:
        if method == "open_web" and left:
            answer = left.pop()
            return SimpleNamespace(result=lambda: answer)
        return site.call(method, args)

    async def scenario() -> None:
        async with browser(dataclasses.replace(site, call=call)) as client:
            answer = await client.post("/x", data="body")
            assert answer.status == status
            assert status != 200 or await answer.text() == "body"

    play(scenario())


def test_strangers_without_the_secret_are_turned_away(web_pack: WebPack) -> None:
    site = web_pack(
        """
@routes.get("/x")
async def x(request):
    return web.Response()
"""
    )
    for directory in (None, str(Path(site.modules[0]).parent)):
        path, port, _ = ask_loaded(site, "open_web", directory)["address"]
        assert (path is None) == (directory is None)

        async def scenario(path: str | None = path, port: int | None = port) -> None:
            connector = aiohttp.UnixConnector(path) if path else aiohttp.TCPConnector()
            async with aiohttp.ClientSession(connector=connector) as session:
                for token in ({}, {"X-Comfy-Env-Token": "guess"}):
                    answer = await session.get(f"http://127.0.0.1:{port or 80}/x", headers=token)
                    assert answer.status == 403

        play(scenario())
        site.call("shutdown", []).result(PATIENCE_S)
        assert eventually(lambda: not_running(site))


def not_running(site: WebSite) -> bool:
    """The next call starts it anew."""
    try:
        return bool(site.call("missing", [list(site.modules)]).result(PATIENCE_S))
    except WorkerError:
        return False


def test_a_long_path_for_temporary_files_is_no_hindrance(
    web_pack: WebPack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = web_pack(
        """
@routes.get("/x")
async def x(request):
    return web.Response(text=str(request.transport.get_extra_info("sockname")))
"""
    )

    async def scenario() -> None:
        async with browser(site) as client:
            assert "127.0.0.1" in await (await client.get("/x")).text()

    long = tmp_path / ("a" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    play(scenario())


def test_everything_of_a_request_and_its_answer_arrives(web_pack: WebPack) -> None:
    site = web_pack(
        """
@routes.post("/items/{name}/{tail:.*}")
async def echo(request):
    answer = web.json_response(
        {
            "match": dict(request.match_info),
            "query": request.query_string,
            "url": str(request.url),
            "remote": request.remote,
            "cookies": dict(request.cookies),
            "twice": request.headers.getall("X-Twice"),
            "ours": [name for name in request.headers if "comfy-env" in name.lower()],
            "agent": request.headers.get("User-Agent"),
            "body": (await request.post())["field"],
        },
        status=207,
        reason="Strange",
        headers={"X-Pack": "yes"},
    )
    answer.set_cookie("a", "1")
    answer.set_cookie("b", "2")
    return answer
"""
    )

    async def scenario() -> None:
        async with browser(site) as client:
            answer = await client.post(
                URL("/items/caf%C3%A9%2Fau/a%20b/c?q=1&q=%2B", encoded=True),
                data={"field": "value"},
                headers=CIMultiDict([("X-Twice", "1"), ("X-Twice", "2"), ("Cookie", "k=v")]),
            )
            assert (answer.status, answer.reason) == (207, "Strange")
            assert answer.headers["X-Pack"] == "yes"
            assert answer.headers["X-ComfyUI"] == "was here"
            assert sorted(answer.cookies) == ["a", "b"]
            said = await answer.json()
            assert said["match"] == {"name": "café/au", "tail": "a b/c"}
            assert said["query"] == "q=1&q=%2B" and said["url"].startswith(str(client.make_url("/items/")))
            assert said["remote"] == "127.0.0.1" and said["cookies"] == {"k": "v"}
            assert said["twice"] == ["1", "2"] and said["ours"] == []
            assert said["agent"].startswith("Python/") and said["body"] == "value"

    play(scenario())


def test_every_way_to_register_a_route_is_served(web_pack: WebPack) -> None:
    site = web_pack(
        """
async def say(request):
    return web.Response(text=request.method + " " + request.path)

app = PromptServer.instance.app
for method in ("post", "put", "delete", "patch", "head", "options"):
    getattr(routes, method)("/t/" + method)(say)
routes.route("*", "/t/any")(say)

@routes.view("/t/view")
class View(web.View):
    async def get(self):
        return await say(self.request)

table = web.RouteTableDef()
table.get("/t/table/{n:[0-9]+}")(say)
app.add_routes(table)
app.add_routes([web.get("/t/list", say)])
app.router.add_get("/t/router", say)
app.router.add_route("GET", "/t/route", say)
below = web.Application()
below.router.add_get("/deep", say)
app.add_subapp("/t/sub", below)
"""
    )

    async def scenario() -> None:
        async with browser(site) as client:
            for method in ("post", "put", "delete", "patch"):
                for prefix in ("", "/api"):
                    path = f"{prefix}/t/{method}"
                    answer = await client.request(method, path)
                    assert await answer.text() == f"{method.upper()} {path}"
            for path in (
                "/t/any",
                "/t/view",
                "/t/table/12",
                "/t/list",
                "/t/router",
                "/t/route",
                "/t/sub/deep",
            ):
                assert await (await client.get(path)).text() == f"GET {path}"
            assert (await client.get("/api/t/view")).status == 200
            for path in ("/t/table/x", "/t/nowhere", "/api/t/router"):
                assert (await client.get(path)).status == 404
            assert (await client.head("/t/head")).status == 200

    play(scenario())


def test_the_hosts_own_routes_win_and_packs_come_before_its_front_end(
    web_pack: WebPack, tmp_path: Path
) -> None:
    source = """
for path in ("/own", "/index.html", "/mine"):
    @routes.get(path)
    async def answer(request):
        return web.Response(text=__name__)
"""
    first, second = web_pack(source, "first"), web_pack(source, "second")
    (tmp_path / "index.html").write_text("front end")
    (tmp_path / "other.html").write_text("front end")

    async def scenario() -> None:
        async with browser(first, second, front_end=tmp_path) as client:
            assert await (await client.get("/own")).text() == "ComfyUI's own"
            assert (await (await client.get("/index.html")).text()).endswith("first")
            assert (await (await client.get("/mine")).text()).endswith("first")
            assert await (await client.get("/other.html")).text() == "front end"
            assert (await client.get("/missing.html")).status == 404
            assert (await client.get("/mine", headers={"Origin": "http://evil.example"})).status == 403

    play(scenario())


def test_fifty_requests_are_answered_at_once_while_a_node_runs(web_pack: WebPack) -> None:
    site = web_pack(
        """
waiting = []
done = asyncio.Event()

class Node:
    FUNCTION = "run"
    RETURN_TYPES = ()
    def run(self):
        while not os.path.exists(__file__ + ".stop"):
            time.sleep(0.01)
        return ()

NODE_CLASS_MAPPINGS = {"Node": Node}

@routes.get("/together")
async def together(request):
    waiting.append(request)
    if len(waiting) == 50:
        done.set()
    await done.wait()
    await asyncio.to_thread(time.sleep, 0.01)
    PromptServer.instance.send_sync("together", {"n": len(waiting)})
    return web.Response(text="ok")
"""
    )
    node = site.call("run", request(site.modules[0], "run"))

    async def scenario() -> None:
        async with browser(site) as client:
            answers = await asyncio.gather(*(client.get("/together") for _ in range(50)))
            assert {await answer.text() for answer in answers} == {"ok"}

    play(scenario())
    assert not node.done()
    (Path(site.modules[0]) / "__init__.py.stop").touch()
    assert node.result(PATIENCE_S) == ()
