"""Routes that are made when somebody asks: once, off the event loop, and with no difference to those who ask."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from comfy_env_core.api.late_routes import LateRoutes
from comfy_env_core.api.mounting import Mounting
from comfy_env_core.api.operation import Ask, Operation

ROOT = Path(__file__).resolve().parents[2]


class Maker:
    """Makes a table of one route and counts how often. `error`: raised instead."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self.threads: list[str] = []
        self.error: Exception | None = None
        self._executor = executor

    def __call__(self) -> web.RouteTableDef:
        self.threads.append(threading.current_thread().name)
        if self.error is not None:
            raise self.error
        routes = web.RouteTableDef()
        operation = Operation("GET", "/things/{thing}/parts/{part}", self.show, dict[str, Any])
        Mounting(lambda request, changes: None, self._executor).add(routes, [operation])
        return routes

    def show(self, ask: Ask) -> dict[str, str]:
        """What was asked for."""
        return dict(ask.path)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4, thread_name_prefix="late") as executor:
        yield executor


@pytest.fixture
def maker(executor: ThreadPoolExecutor) -> Maker:
    return Maker(executor)


def ask(maker: Maker, executor: ThreadPoolExecutor, *paths: str) -> list[tuple[int, Any]]:
    """Status and JSON of GETs that are sent at once, below ComfyUI's two prefixes."""

    async def ask() -> list[tuple[int, Any]]:
        routes = web.RouteTableDef()
        LateRoutes(maker, executor).add(routes)
        app = web.Application()
        for route in routes:
            assert isinstance(route, web.RouteDef)
            app.router.add_route(route.method, "/api" + route.path, route.handler)
        app.add_routes(routes)
        async with TestClient(TestServer(app)) as client:
            answers = await asyncio.gather(*(client.get(path) for path in paths))
            return [(answer.status, await answer.json()) for answer in answers]

    return asyncio.run(ask())


def test_what_cannot_be_made_is_an_answer_too_and_is_tried_again(
    maker: Maker, executor: ThreadPoolExecutor
) -> None:
    maker.error = ImportError("no such module")
    ((status, body),) = ask(maker, executor, "/comfy-env/things/1/parts/2")
    assert (status, body["error"]["code"]) == (500, "internal")
    assert "no such module" in body["error"]["message"]
    maker.error = None
    assert ask(maker, executor, "/comfy-env/things/1/parts/2") == [(200, {"thing": "1", "part": "2"})]


def test_those_who_ask_at_once_wait_for_one_making_on_a_thread(
    maker: Maker, executor: ThreadPoolExecutor
) -> None:
    answers = ask(maker, executor, *(f"/comfy-env/things/{number}/parts/x" for number in range(20)))
    assert answers == [(200, {"thing": str(number), "part": "x"}) for number in range(20)]
    (thread,) = maker.threads
    assert thread.startswith("late")


def test_ids_in_the_path_are_those_that_were_sent_below_both_prefixes(
    maker: Maker, executor: ThreadPoolExecutor
) -> None:
    for prefix in ("", "/api"):
        (answer,) = ask(maker, executor, prefix + "/comfy-env/things/a%2Fb%20%C3%A9/parts/%3Cb%3E")
        assert answer == (200, {"thing": "a/b é", "part": "<b>"})


def test_what_is_unknown_is_refused_as_ever(maker: Maker, executor: ThreadPoolExecutor) -> None:
    ((status, body),) = ask(maker, executor, "/comfy-env/nothing/here")
    assert (status, body["error"]["code"]) == (404, "unknown_route")


def test_they_can_be_made_before_anybody_asks(maker: Maker, executor: ThreadPoolExecutor) -> None:
    LateRoutes(maker, executor).make_soon()
    executor.shutdown(wait=True)
    assert len(maker.threads) == 1


def test_a_start_imports_nothing_of_what_routes_are_made_of() -> None:
    """What is imported before somebody asks is part of every start of ComfyUI."""
    code = (
        "import sys, comfy_env_core.api.opening, comfy_env_core.api.serving;"
        "print([name for name in sys.modules if name.startswith('comfy_env_core.')])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    for room in ("supervision", "wire", "doctor", "support", "prerequisites", "building.engines"):
        assert f"comfy_env_core.{room}" not in printed
