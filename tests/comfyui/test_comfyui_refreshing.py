"""Inputs that may have changed are asked for again, where that costs nobody anything."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from comfy_env_core.comfyui.nodes.proxies import ProxyFactory
from comfy_env_core.comfyui.nodes.refreshing import INTERVAL_S, InputRefresher
from comfy_env_core.wire.values.snapshot import freeze


class Caller:
    """A `NodeCaller` whose worker answers when the test says so."""

    files = None
    is_running = True

    def __init__(self) -> None:
        self.asked: list[tuple[Any, Callable[[Any], None]]] = []
        self.remembered: list[Any] = []

    def remember_inputs(self, described: Any) -> None:
        self.remembered.append(described)

    def describe_inputs(self, keys: Any, done: Callable[[Any], None]) -> bool:
        self.asked.append((keys, done))
        return self.is_running


def inputs(names: list[str] | None, **by_caller: Any) -> dict[str, Any]:
    return {
        "input_types": None if names is None else freeze({"required": {"name": (names,)}}),
        "input_types_error": "boom" if names is None else None,
        "input_types_by_caller": {name: freeze(answer) for name, answer in by_caller.items()},
    }


def proxy(caller: Caller, described: dict[str, Any]) -> Any:
    entry = {"module": "pack", "qualname": "Node", "attributes": {}, "functions": {}, **described}
    factory = ProxyFactory(caller)  # type: ignore[arg-type]  # nothing is called
    return factory.proxies({"classes": [entry]})[0]


def choices(node: Any) -> Any:
    return node.INPUT_TYPES()["required"].get("name", [None])[0]


def test_what_was_known_is_answered_at_once_and_what_is_new_to_the_next_who_asks() -> None:
    caller = Caller()
    node = proxy(caller, inputs(["a"]))
    assert choices(node) == ["a"]
    ((keys, done),) = caller.asked
    assert keys == [("pack", "Node")]
    done([inputs(["a", "b"])])
    assert choices(node) == ["a", "b"]


@pytest.mark.parametrize("names", [["a"], None])
def test_inputs_that_fail_later_leave_what_was_known(names: list[str] | None) -> None:
    caller = Caller()
    node = proxy(caller, inputs(names))
    before = node.INPUT_TYPES()
    caller.asked[0][1]([inputs(None)])
    assert node.INPUT_TYPES() == before


def test_inputs_that_failed_appear_once_they_can_be_had() -> None:
    caller = Caller()
    node = proxy(caller, inputs(None))
    assert node.INPUT_TYPES() == {"required": {}}
    caller.asked[0][1]([inputs(["late"])])
    assert choices(node) == ["late"]


def test_a_page_that_asks_for_all_nodes_is_one_refresh_and_a_run_is_none() -> None:
    caller, now = Caller(), [100.0]
    refresher = InputRefresher({}, caller, clock=lambda: now[0])  # type: ignore[arg-type]  # as above
    refresher.asked()
    refresher.asked()
    assert len(caller.asked) == 1
    now[0] += INTERVAL_S
    running = threading.Thread(target=refresher.asked)
    running.start()
    running.join()
    refresher.asked()
    assert len(caller.asked) == 1, "ComfyUI asks before each node it runs, and a worker may be busy for long"
    caller.asked[0][1](None)
    refresher.asked()
    assert len(caller.asked) == 2


def test_a_worker_that_comes_later_is_asked() -> None:
    caller, now = Caller(), [100.0]
    refresher = InputRefresher({}, caller, clock=lambda: now[0])  # type: ignore[arg-type]  # as above
    caller.is_running = False
    refresher.asked()
    now[0] += INTERVAL_S
    caller.is_running = True
    refresher.asked()
    assert len(caller.asked) == 2


def test_news_are_kept_for_the_next_start_and_repetitions_are_not() -> None:
    caller = Caller()
    factory = ProxyFactory(caller)  # type: ignore[arg-type]  # as above
    entry = {"module": "pack", "qualname": "Node", "attributes": {}, "functions": {}, **inputs(["a"])}
    factory.proxies({"classes": [entry]})[0].INPUT_TYPES()
    done = caller.asked[0][1]
    done([inputs(["a"])])
    assert caller.remembered == []
    done([inputs(["b"])])
    assert caller.remembered == [{("pack", "Node"): inputs(["b"])}]


def test_one_who_asks_in_comfyuis_name_gets_the_answer_meant_for_it() -> None:
    node = proxy(Caller(), inputs(["usual"], get_input_info={"required": {"name": (["special"],)}}))

    def get_input_info() -> Any:
        return choices_of(node.INPUT_TYPES())

    def choices_of(found: Any) -> Any:
        return found["required"]["name"][0]

    assert get_input_info() == ["special"] and choices(node) == ["usual"]
