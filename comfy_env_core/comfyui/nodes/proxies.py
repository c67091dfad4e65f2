"""Classes that ComfyUI takes for node classes, made from a worker's description of the real ones.

What ComfyUI reads (attributes, INPUT_TYPES, signatures) is answered here from the description, at once and without a
process; what it calls goes to the worker. One class of the worker has one proxy, whatever number of names it goes by.
"""

from __future__ import annotations

import logging
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from comfy_env_core.comfyui.nodes.input_types import InputTypes
from comfy_env_core.comfyui.nodes.node_calls import IS_PROXY, ClassKey, NodeCall, NodeCaller, make_function
from comfy_env_core.comfyui.nodes.refreshing import InputRefresher
from comfy_env_core.wire.values.snapshot import thaw

log = logging.getLogger("comfy-env")

#: Never taken over from the description: Python's own, and what ComfyUI writes itself.
_NOT_COPIED = frozenset({"RELATIVE_PYTHON_MODULE"})


class ProxyFactory:
    """Makes the proxies of one site and remembers them: the same worker class is the same proxy in every module."""

    def __init__(self, caller: NodeCaller) -> None:
        self._caller = caller
        self._proxies: dict[ClassKey, type] = {}
        self._inputs: dict[ClassKey, InputTypes] = {}
        self.refresher = InputRefresher(self._inputs, caller)

    def proxies(self, description: Mapping[str, Any]) -> list[type]:
        """The proxies of a description's `classes`, in its order."""
        return [self._proxy(entry) for entry in description["classes"]]

    def forget_all(self) -> None:
        """Makes new classes from now on: the pack's code or its environment changed."""
        self._proxies.clear()
        self._inputs.clear()

    def _proxy(self, entry: Mapping[str, Any]) -> type:
        key = (entry["module"], entry["qualname"])
        if key not in self._proxies:
            inputs = None
            if entry["input_types_by_caller"]:
                log.info(
                    "%s: its INPUT_TYPES looks at who calls it. ComfyUI's functions get what they got when its worker "
                    "described it: %s",
                    key[1],
                    ", ".join(entry["input_types_by_caller"]),
                )
            if entry["input_types"] is not None or entry["input_types_error"]:
                inputs = self._inputs[key] = InputTypes(entry, self._caller, self.refresher.asked)
            self._proxies[key] = _make_proxy(key, entry, inputs, self._caller)
        return self._proxies[key]


def _make_proxy(
    key: ClassKey, entry: Mapping[str, Any], inputs: InputTypes | None, caller: NodeCaller
) -> type:
    if entry.get("v3") and inputs is not None:
        # Imports ComfyUI's V3 API, and that torch: a pack that has V3 nodes is loaded after it.
        from comfy_env_core.comfyui.nodes.v3.proxies import make_v3_proxy  # noqa: PLC0415

        return make_v3_proxy(key, entry, inputs, caller)
    attributes = {name: thaw(value) for name, value in entry["attributes"].items() if name not in _NOT_COPIED}
    namespace: dict[str, Any] = {
        **attributes,
        "__module__": key[0],
        "__qualname__": key[1],
        "__init__": _make_init(caller),
        IS_PROXY: True,
    }
    receive = _receiver(key, attributes.get("RETURN_TYPES", ()))
    for name, info in entry["functions"].items():
        namespace[name] = make_function(key, name, info, caller, receive(name))
    if inputs is not None:  # asking the worker would start one for every /object_info
        namespace["INPUT_TYPES"] = classmethod(lambda cls: inputs.get())
    return type(key[1].rpartition(".")[2], (), namespace)


def _make_init(caller: NodeCaller) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        # ComfyUI makes one object per node id and class and drops it with its cache: the worker follows.
        self._comfy_env_instance = uuid.uuid4().hex
        weakref.finalize(self, caller.forget, self._comfy_env_instance).atexit = False

    return __init__


def _receiver(key: ClassKey, return_types: Sequence[Any]) -> Callable[[str], Any]:
    """For a function's name: what makes the call of the arguments it is called with."""

    def of(name: str) -> Any:
        def receive(kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NodeCall:
            if kind == "class":
                return NodeCall(key, None, name, args[1:], kwargs, return_types)
            if kind != "static" and args and getattr(type(args[0]), IS_PROXY, False):
                function = "__getattribute__" if kind == "property" else name
                return NodeCall(key, args[0]._comfy_env_instance, function, args[1:], kwargs, return_types)
            # Static, or a plain function that is called on the class, as ComfyUI calls VALIDATE_INPUTS.
            return NodeCall(key, None, name, args, kwargs, return_types)

        return receive

    return of
