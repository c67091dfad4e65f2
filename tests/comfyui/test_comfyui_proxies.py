"""Proxies: what ComfyUI reads is the description's, what it calls goes to the worker."""

from __future__ import annotations

import asyncio
import gc
import inspect
from typing import Any

import pytest

from comfy_env_core.comfyui.nodes.node_calls import NodeCall
from comfy_env_core.comfyui.nodes.proxies import ProxyFactory
from comfy_env_core.wire.values.file_lists import file_names, recording_file_names
from comfy_env_core.wire.values.snapshot import freeze


class RecordingCaller:
    """Stands for the worker: remembers the calls and answers each with its keyword arguments."""

    def __init__(self) -> None:
        self.calls: list[NodeCall] = []
        self.forgotten: list[str] = []
        self.asked: list[Any] = []
        self.files = self

    def call(self, call: NodeCall) -> Any:
        self.calls.append(call)
        return call.kwargs

    async def call_async(self, call: NodeCall) -> Any:
        self.calls.append(call)
        return call.kwargs

    def describe_inputs(self, keys: Any, done: Any) -> bool:
        self.asked.append((keys, done))
        return True

    def remember_inputs(self, inputs: Any) -> None:
        pass

    def in_folder(self, folder: str) -> list[str] | None:
        return {"loras": ["today.safetensors"]}.get(folder)

    def in_directory(self, directory: str) -> list[str] | None:
        return {"input": ["new.png", "notes.txt"]}.get(directory)

    def forget(self, instance: str) -> None:
        self.forgotten.append(instance)


POSITIONAL = int(inspect.Parameter.POSITIONAL_OR_KEYWORD)
KEYWORDS = int(inspect.Parameter.VAR_KEYWORD)


def function(kind: str, *parameters: list[Any]) -> dict[str, Any]:
    return {"kind": kind, "async": False, "parameters": list(parameters)}


def describe(**changes: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "module": "pack.nodes",
        "qualname": "Blur",
        "attributes": {
            "RETURN_TYPES": freeze(("IMAGE",)),
            "FUNCTION": freeze("blur"),
            "CATEGORY": freeze("image"),
        },
        "input_types": freeze(
            {"required": {"radius": ("INT", {"min": 0, "max": 9})}, "hidden": {"id": "UNIQUE_ID"}}
        ),
        "input_types_error": None,
        "input_types_by_caller": {},
        "functions": {
            "INPUT_TYPES": function("class", ["cls", POSITIONAL, False]),
            "blur": function("instance", ["self", POSITIONAL, False], ["radius", POSITIONAL, False]),
            "IS_CHANGED": function("class", ["cls", POSITIONAL, False], ["kw", KEYWORDS, False]),
            "VALIDATE_INPUTS": function("class", ["cls", POSITIONAL, False], ["radius", POSITIONAL, False]),
        },
    }
    entry.update(changes)
    return {"module": "pack.nodes", "classes": [entry], "exports": {}}


@pytest.fixture
def caller() -> RecordingCaller:
    return RecordingCaller()


def make(caller: RecordingCaller, **changes: Any) -> Any:
    return ProxyFactory(caller).proxies(describe(**changes))[0]


def test_attributes_are_those_of_the_real_class_and_no_others(caller: RecordingCaller) -> None:
    proxy = make(caller)
    assert proxy.RETURN_TYPES == ("IMAGE",)
    assert (proxy.FUNCTION, proxy.CATEGORY) == ("blur", "image")
    assert (proxy.__module__, proxy.__qualname__, proxy.__name__) == ("pack.nodes", "Blur", "Blur")
    for absent in ("OUTPUT_NODE", "OUTPUT_IS_LIST", "INPUT_IS_LIST", "DESCRIPTION", "check_lazy_status"):
        assert not hasattr(proxy, absent), "ComfyUI decides by hasattr"


def test_input_types_are_a_fresh_copy_at_every_call(caller: RecordingCaller) -> None:
    proxy = make(caller)
    first = proxy.INPUT_TYPES()
    first["required"]["radius"][1]["max"] = 1
    first["required"]["added"] = ("INT",)
    assert proxy.INPUT_TYPES()["required"] == {"radius": ("INT", {"min": 0, "max": 9})}
    assert caller.calls == []


def test_input_types_that_failed_in_the_worker_do_not_raise_in_the_host(caller: RecordingCaller) -> None:
    """Raising would drop the node from /object_info."""
    assert make(caller, input_types=None, input_types_error="boom").INPUT_TYPES() == {"required": {}}


def test_lists_of_model_files_are_those_of_today(caller: RecordingCaller) -> None:
    with recording_file_names():
        then = file_names("loras", ["yesterday.safetensors"])
    proxy = make(caller, input_types=freeze({"required": {"lora": (["None", *then],)}}))
    assert proxy.INPUT_TYPES() == {"required": {"lora": (["None", "today.safetensors"],)}}


def test_node_function_runs_in_the_worker_with_this_instance(caller: RecordingCaller) -> None:
    proxy = make(caller)
    one, other = proxy(), proxy()
    assert one.blur(radius=3) == {"radius": 3}
    other.blur(radius=4)
    first, second = caller.calls
    assert (first.key, first.function, first.return_types) == (("pack.nodes", "Blur"), "blur", ("IMAGE",))
    assert first.instance is not None and first.instance != second.instance


def test_dropped_instance_is_forgotten_in_the_worker(caller: RecordingCaller) -> None:
    instance = make(caller)()
    key = instance._comfy_env_instance
    del instance
    gc.collect()
    assert caller.forgotten == [key]


def test_class_functions_have_no_instance(caller: RecordingCaller) -> None:
    assert make(caller).IS_CHANGED(radius=1) == {"radius": 1}
    assert caller.calls[0].instance is None


def test_validation_signature_is_exact_and_the_call_does_not_block_the_event_loop(
    caller: RecordingCaller,
) -> None:
    """ComfyUI leaves out its own checks for the names it finds, and runs this on the server's loop."""
    proxy = make(caller)
    spec = inspect.getfullargspec(proxy.VALIDATE_INPUTS)
    assert (spec.args, spec.varkw) == (["cls", "radius"], None)
    assert inspect.iscoroutinefunction(proxy.VALIDATE_INPUTS)
    assert asyncio.run(proxy.VALIDATE_INPUTS(radius=2)) == {"radius": 2}


def test_validation_with_keywords_says_so(caller: RecordingCaller) -> None:
    functions = describe()["classes"][0]["functions"]
    functions["VALIDATE_INPUTS"] = {
        "kind": "static",
        "async": False,
        "parameters": [["kwargs", KEYWORDS, False]],
    }
    spec = inspect.getfullargspec(make(caller, functions=functions).VALIDATE_INPUTS)
    assert (spec.args, spec.varkw) == ([], "kwargs")


def test_async_stays_async_and_sync_stays_sync(caller: RecordingCaller) -> None:
    functions = describe()["classes"][0]["functions"]
    assert not inspect.iscoroutinefunction(make(caller, functions=functions)().blur)
    functions["blur"] = {**functions["blur"], "async": True}
    node = make(caller, functions=functions)()
    assert inspect.iscoroutinefunction(node.blur)
    assert asyncio.run(node.blur(radius=5)) == {"radius": 5}


def test_one_worker_class_is_one_proxy_in_every_module(caller: RecordingCaller) -> None:
    factory = ProxyFactory(caller)
    assert factory.proxies(describe())[0] is factory.proxies(describe())[0]


def test_host_attributes_written_by_comfyui_are_not_taken_over(caller: RecordingCaller) -> None:
    attributes = {
        **describe()["classes"][0]["attributes"],
        "RELATIVE_PYTHON_MODULE": freeze("custom_nodes.worker"),
    }
    assert not hasattr(make(caller, attributes=attributes), "RELATIVE_PYTHON_MODULE")
