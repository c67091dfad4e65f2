"""V3 nodes in the newest form of the API, run through a proxy and a real worker as that ComfyUI runs them."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from fakepack import spec_for, write_pack
from newest_v3 import write_newest_v3
from patience import PATIENCE_S
from workers import StartWorker

from comfy_env_core.comfyui.imports import modules
from comfy_env_core.comfyui.nodes.node_calls import NodeCall
from comfy_env_core.comfyui.nodes.proxies import ProxyFactory

PACK = """
from comfy_api.latest import ComfyExtension, io

LOADED = []

class Grows(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        template = {"input": ("IMAGE", {}), "prefix": "image", "min": 1, "max": 5}
        return io.Schema(
            node_id="Grows",
            display_name="Grows as needed",
            inputs=[io.Input("images", "COMFY_AUTOGROW_V3", {"template": template}), io.Input("n", "INT", {"min": 0})],
            outputs=[io.Output("IMAGE")],
            hidden=[io.Hidden.unique_id, io.Hidden.extra_pnginfo],
            search_aliases=["many"],
            accept_all_inputs=True,
        )

    @classmethod
    def validate_inputs(cls, n):
        return n < 9 or "too many"

    @classmethod
    def execute(cls, images, n, **others):
        return io.NodeOutput((images, n, others, cls.hidden.unique_id, cls.hidden.comfy_usage_source, LOADED))

class Waits(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="Waits", outputs=[io.Output("INT")])

    @classmethod
    async def execute(cls):
        cls.count = 1

class Extension(ComfyExtension):
    async def on_load(self):
        LOADED.append("loaded")

    async def get_node_list(self):
        return [Grows, Waits]

def comfy_entrypoint():
    return Extension()
"""


@pytest.fixture
def comfyui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That ComfyUI, importable here as well."""
    directory = write_newest_v3(tmp_path / "ComfyUI")
    monkeypatch.syspath_prepend(directory)
    before = set(sys.modules)
    yield directory
    for name in set(sys.modules) - before:
        if name.startswith(("comfy_api", "comfy_env_core.comfyui.nodes.v3")):
            del sys.modules[name]


class WorkerCaller:
    """A `NodeCaller` over a worker."""

    files = None

    def __init__(self, worker: Any) -> None:
        self._worker = worker

    def call(self, call: NodeCall) -> Any:
        request = {
            "class": list(call.key),
            "instance": call.instance,
            "function": call.function,
            "args": list(call.args),
            "kwargs": dict(call.kwargs),
            "hidden": None if call.hidden is None else dict(call.hidden),
        }
        return self._worker.call("run", [request]).result(PATIENCE_S)

    async def call_async(self, call: NodeCall) -> Any:
        return self.call(call)

    def describe_inputs(self, keys: Any, done: Callable[..., None]) -> bool:
        return False

    def remember_inputs(self, inputs: Any) -> None:
        pass

    def forget(self, instance: str) -> None:
        pass


@pytest.fixture
def proxies(comfyui: Path, tmp_path: Path, start_worker: StartWorker) -> dict[str, Any]:
    """The proxies that a host which knows the description makes for a worker that has described nothing."""
    module = host_module(tmp_path, comfyui, start_worker, PACK)
    nodes = asyncio.run(nodes_of(module))
    return {node.GET_SCHEMA().node_id: node for node in nodes}


def host_module(tmp_path: Path, comfyui: Path, start_worker: StartWorker, source: str) -> ModuleType:
    """What stands in the host for a pack of that source."""
    spec = spec_for(write_pack(tmp_path, {"__init__.py": source}), comfyui=comfyui)
    described = start_worker(spec).call("describe", [spec.module_name]).result(PATIENCE_S)
    module = ModuleType("pack")
    factory = ProxyFactory(WorkerCaller(start_worker(spec)))  # type: ignore[arg-type]  # no files are asked for
    modules.fill(module, described, factory)
    return module


async def nodes_of(module: ModuleType) -> list[Any]:
    """As ComfyUI's loader gets them."""
    extension = await module.comfy_entrypoint()
    assert isinstance(extension, importlib.import_module("comfy_api.latest").ComfyExtension)
    await extension.on_load()
    found: list[Any] = await extension.get_node_list()
    return found


def run(proxy: Any, inputs: dict[str, Any], function: str, **hidden: Any) -> Any:
    """As ComfyUI's execution does."""
    internal, io = (importlib.import_module(f"comfy_api.{name}") for name in ("internal", "latest._io"))
    _, declared, v3_data = io.get_finalized_class_inputs(proxy.INPUT_TYPES(), inputs)
    values = {io.Hidden[name]: value for name, value in hidden.items() if name in (declared or {})}
    v3_data["hidden_inputs"] = values
    proxy.VALIDATE_CLASS()
    call = internal.make_locked_method_func(proxy, function, proxy.PREPARE_CLASS_CLONE(v3_data))
    return call(**io.build_nested_inputs(inputs, v3_data))


def test_page_is_told_what_the_pack_says(proxies: dict[str, Any]) -> None:
    proxy = proxies["Grows"]
    proxy.RELATIVE_PYTHON_MODULE = "custom_nodes.pack"
    info = proxy.GET_NODE_INFO_V1()
    assert list(info) == [
        "input", "input_order", "output", "name", "display_name", "python_module", "search_aliases",
    ]  # fmt: skip
    assert info["display_name"] == "Grows as needed" and info["search_aliases"] == ["many"]
    assert info["python_module"] == "custom_nodes.pack"
    assert info["input_order"] == {"required": ["images", "n"], "hidden": ["unique_id", "extra_pnginfo"]}
    assert proxy.GET_SCHEMA().node_id == "Grows" and proxy.ACCEPT_ALL_INPUTS is True


def test_values_of_dynamic_inputs_arrive_nested_and_hidden_ones_on_the_class(proxies: dict[str, Any]) -> None:
    inputs = {"images.image0": "a", "images.image2": "c", "n": 1, "undeclared": True}
    output = run(
        proxies["Grows"], inputs, proxies["Grows"].FUNCTION, unique_id="7", comfy_usage_source="not asked for"
    )
    images, n, others, unique_id, source, loaded = output.args[0]
    assert (images, n, others) == ({"image0": "a", "image2": "c"}, 1, {"undeclared": True})
    assert (unique_id, source) == ("7", None)
    assert loaded == ["loaded"], "the extension is loaded before its first node runs"


def test_validation_does_not_block_the_event_loop(proxies: dict[str, Any]) -> None:
    assert asyncio.run(run(proxies["Grows"], {"n": 9}, "validate_inputs")) == "too many"


def test_async_nodes_stay_async_and_their_class_stays_locked(proxies: dict[str, Any]) -> None:
    assert proxies["Waits"].FUNCTION == "EXECUTE_NORMALIZED_ASYNC"
    with pytest.raises(AttributeError, match="count of a locked class"):
        asyncio.run(run(proxies["Waits"], {}, "EXECUTE_NORMALIZED_ASYNC"))


def test_entry_point_that_fails_says_to_comfyui_why(
    comfyui: Path, tmp_path: Path, start_worker: StartWorker
) -> None:
    module = host_module(
        tmp_path, comfyui, start_worker, "async def comfy_entrypoint():\n    raise ValueError('no licence')\n"
    )
    with pytest.raises(RuntimeError, match="ValueError: no licence"):
        asyncio.run(nodes_of(module))
    assert not hasattr(module, "NODE_CLASS_MAPPINGS"), "or ComfyUI would not look for an entry point"


def test_schema_that_fails_leaves_its_node_out_and_the_others_in(
    comfyui: Path, tmp_path: Path, start_worker: StartWorker
) -> None:
    source = """
        from comfy_api.latest import io

        class Broken(io.ComfyNode):
            @classmethod
            def define_schema(cls):
                raise OSError("no such device")

            @classmethod
            def execute(cls):
                return ()

        class Sound(Broken):
            @classmethod
            def define_schema(cls):
                return io.Schema(node_id="Sound")

        NODE_CLASS_MAPPINGS = {"Broken": Broken, "Sound": Sound}
    """
    mapping = host_module(tmp_path, comfyui, start_worker, source).NODE_CLASS_MAPPINGS
    with pytest.raises(RuntimeError, match="no such device"):
        mapping["Broken"].GET_NODE_INFO_V1()
    assert mapping["Sound"].GET_NODE_INFO_V1()["name"] == "Sound"


def test_form_that_works_out_dynamic_inputs_itself_is_told_what_is_missing(proxies: dict[str, Any]) -> None:
    families = importlib.import_module("comfy_env_core.comfyui.nodes.v3.families")

    class Base:
        @classmethod
        def INPUT_TYPES(
            cls, include_hidden: bool = True, return_schema: bool = False, live_inputs: Any = None
        ) -> None: ...

    declared = {"required": {"n": ("INT", {})}, "hidden": {"unique_id": ("UNIQUE_ID",)}}
    inputs = SimpleNamespace(get=lambda: {category: dict(names) for category, names in declared.items()})
    schema = SimpleNamespace(node_id="Node")
    ask = families.input_types_method(Base, inputs, schema)
    assert ask(Base) == declared
    assert ask(Base, include_hidden=False, return_schema=True, live_inputs={}) == (
        {"required": {"n": ("INT", {})}}, schema, {},
    )  # fmt: skip
    declared["required"]["many"] = ("COMFY_AUTOGROW_V3", {})
    assert "many" in ask(Base)["required"], "the page may show it"
    with pytest.raises(NotImplementedError, match=r"'Node' has dynamic inputs \(many\)"):
        ask(Base, return_schema=True, live_inputs={})
