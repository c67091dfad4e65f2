"""What is the same in every version of the V3 API.

A proxy answers the questions about its schema from the description and runs `execute` and the hooks that the real class
overrides in the worker. It keeps ComfyUI's own class methods: checks, normalised results, and the clone for each call,
whose `hidden` goes to the worker with the call.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from comfy_api.latest import io

from comfy_env_core.comfyui.nodes.input_types import InputTypes
from comfy_env_core.comfyui.nodes.node_calls import IS_PROXY, ClassKey, NodeCall, NodeCaller, make_function
from comfy_env_core.comfyui.nodes.v3.families import input_types_method
from comfy_env_core.wire.values.snapshot import Opaque, thaw


def make_v3_proxy(
    key: ClassKey, entry: Mapping[str, Any], inputs: InputTypes, caller: NodeCaller
) -> type[io.ComfyNode]:
    """A subclass of ComfyUI's ComfyNode for a described V3 class."""
    described = entry["schema"]
    namespace: dict[str, Any] = {"__module__": key[0], "__qualname__": key[1], IS_PROXY: True}
    for name, info in entry["functions"].items():
        namespace[name] = make_function(key, name, info, caller, _receiver(key, name, described))
    if described is None:
        namespace.update(_failing(key, entry["input_types_error"]))
    else:
        namespace.update({f"_{name}": thaw(value) for name, value in described["fields"].items()})
        namespace.update(_answers(described, inputs))
    return type(key[1].rpartition(".")[2].strip("]"), (io.ComfyNode,), namespace)


def _answers(described: Mapping[str, Any], inputs: InputTypes) -> dict[str, Any]:
    schema = _schema(described)

    def get_schema(cls: type) -> io.Schema:
        return schema

    def get_node_info(cls: type) -> dict[str, Any]:
        return {**thaw(described["info"]), **_inputs_info(cls, inputs.get())}

    return {
        "SCHEMA": schema,
        "define_schema": classmethod(get_schema),
        "FINALIZE_SCHEMA": classmethod(get_schema),
        "GET_SCHEMA": classmethod(get_schema),
        "GET_NODE_INFO_V1": classmethod(get_node_info),
        "INPUT_TYPES": classmethod(input_types_method(io.ComfyNode, inputs, schema)),
    }


def _inputs_info(cls: type, inputs: Any) -> dict[str, Any]:
    return {
        "input": inputs,
        "input_order": {category: list(names) for category, names in inputs.items()},
        "python_module": getattr(cls, "RELATIVE_PYTHON_MODULE", "nodes"),
    }


def _schema(described: Mapping[str, Any]) -> io.Schema:
    """The schema without its inputs and outputs: what ComfyUI makes of those is in the description."""
    known = {field.name for field in dataclasses.fields(io.Schema)}
    facts = {name: thaw(value) for name, value in described["facts"].items() if name in known}
    plain = {name: value for name, value in facts.items() if not isinstance(value, Opaque)}
    return io.Schema(**plain, hidden=[io.Hidden[name] for name in described["hidden"]])


def _failing(key: ClassKey, error: str) -> dict[str, Any]:
    """ComfyUI leaves a node out whose define_schema raises, and says why."""

    def define_schema(cls: type) -> io.Schema:
        raise RuntimeError(f"define_schema of {key[1]!r} failed in its worker: {error}")

    return {"define_schema": classmethod(define_schema)}


def _receiver(
    key: ClassKey, name: str, described: Mapping[str, Any] | None
) -> Callable[[str, tuple[Any, ...], dict[str, Any]], NodeCall]:
    return_types = thaw(described["fields"]["RETURN_TYPES"]) if described is not None else ()

    def receive(kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NodeCall:
        if kind != "class":
            return NodeCall(key, None, name, args, kwargs, return_types)
        hidden = _declared(args[0].hidden, described)
        return NodeCall(key, None, name, args[1:], kwargs, return_types, hidden)

    return receive


def _declared(holder: Any, described: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the clone that ComfyUI made for the call holds; account tokens only where the schema asks for them."""
    if holder is None or described is None:
        return {}
    return {name: getattr(holder, name) for name in described["hidden"]}
