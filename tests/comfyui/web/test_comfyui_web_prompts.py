"""Prompt handlers of isolated packs: what they make of a prompt, and what happens to it when they fail."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import Any

import pytest
from fakepack import request
from patience import PATIENCE_S, eventually
from webhost import WebPack, browser, play

from comfy_env_core.comfyui.web.prompts import PromptHandlers
from comfy_env_core.comfyui.web.table import WebSite
from comfy_env_core.sites.failure import SiteNotReady

COUNTING = """
seen = []

def count(prompt):
    seen.append(prompt["client_id"])
    prompt["prompt"]["1"]["inputs"]["seen"] = len(seen)
    return prompt

PromptServer.instance.add_on_prompt_handler(count)
"""


def prompt() -> dict[str, Any]:
    return {"client_id": "c", "prompt": {"1": {"class_type": "X", "inputs": {}}}}


def rewritten(*sites: WebSite, limit_s: float = 20.0) -> Any:
    return PromptHandlers(lambda: sites, limit_s).rewrite(prompt())


def test_a_worker_that_dies_leaves_the_prompt_as_it_is(
    web_pack: WebPack, caplog: pytest.LogCaptureFixture
) -> None:
    site = web_pack("PromptServer.instance.add_on_prompt_handler(lambda prompt: os._exit(3))\n")

    assert rewritten(site) == prompt()
    assert "goes on without them" in caplog.text and "exit code 3" in caplog.text


def test_a_handler_that_hangs_costs_the_limit_and_no_more(
    web_pack: WebPack, caplog: pytest.LogCaptureFixture
) -> None:
    hanging = web_pack(
        "PromptServer.instance.add_on_prompt_handler(lambda prompt: time.sleep(60))\n", "hangs"
    )
    counting = web_pack(COUNTING, "counts")
    for site in (hanging, counting):
        site.call("load", [list(site.modules)]).result(PATIENCE_S)
    begun = time.monotonic()

    result = rewritten(hanging, counting, limit_s=1.0)

    assert time.monotonic() - begun < 10.0
    assert "'hangs' took longer than 1 s" in caplog.text
    assert result["prompt"]["1"]["inputs"] == {"seen": 1}


def test_a_handler_that_raises_is_left_out_and_the_next_one_goes_on(
    web_pack: WebPack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    raising = "PromptServer.instance.on_prompt_handlers.append(lambda prompt: prompt['no such key'])\n"

    assert rewritten(web_pack(raising + COUNTING))["prompt"]["1"]["inputs"] == {"seen": 1}
    assert eventually(lambda: "no such key" in caplog.text)


def test_a_pack_that_is_not_ready_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    def call(method: str, args: object) -> Any:
        raise SiteNotReady("still building")

    assert rewritten(WebSite("p", "p", ("p",), {"prompt_handlers": 1}, call)) == prompt()
    assert "still building" in caplog.text


def test_a_handler_remembers_and_answers_while_a_node_runs(web_pack: WebPack) -> None:
    site = web_pack(
        COUNTING
        + """
class Node:
    FUNCTION = "run"
    RETURN_TYPES = ()
    def run(self):
        while len(seen) < 2:
            time.sleep(0.01)
        return ()

NODE_CLASS_MAPPINGS = {"Node": Node}
"""
    )
    assert site.has_prompt_handlers()
    node = site.call("run", request(site.modules[0], "run"))

    assert [rewritten(site)["prompt"]["1"]["inputs"]["seen"] for _ in range(2)] == [1, 2]
    assert node.result(PATIENCE_S) == ()


def test_the_server_goes_on_while_a_worker_is_started_for_a_prompt(web_pack: WebPack) -> None:
    site = web_pack(COUNTING + "time.sleep(2.0)\n")
    methods = []

    def call(method: str, args: Any) -> Any:
        methods.append(method)
        return site.call(method, args)

    slow = dataclasses.replace(site, call=call)

    async def scenario() -> None:

        async with browser(slow) as client:
            queued = asyncio.create_task(client.post("/prompt", json=prompt()))
            longest = 0.0
            while not queued.done():
                begun = time.monotonic()
                assert (await client.get("/own")).status == 200
                longest = max(longest, time.monotonic() - begun)
            answer = await (await queued).json()
            assert answer["prompt"]["1"]["inputs"] == {"seen": 1}
            assert longest < 1.5

    play(scenario())
    assert methods.count("load") == 1 and methods[-1] == "rewrite_prompt"
