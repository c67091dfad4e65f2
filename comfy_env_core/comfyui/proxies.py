"""Classes that ComfyUI takes for node classes, made from a worker's description of the real ones.

What ComfyUI reads (attributes, INPUT_TYPES, signatures) is answered here from the description, at once and without a
process; what it calls goes to the worker. One class of the worker has one proxy, whatever number of names it goes by.
"""

from __future__ import annotations

import inspect
import json
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from comfy_env_core.wire.values.snapshot import thaw

#: Never taken over from the description: Python's own, and what ComfyUI writes itself.
_NOT_COPIED = frozenset({"RELATIVE_PYTHON_MODULE"})

_IS_PROXY = "_comfy_env_is_proxy"

ClassKey = tuple[str, str]


class NodeCaller(Protocol):
    """How a proxy reaches the worker. One per site."""

    def call(self, call: NodeCall) -> Any:
        """Runs in the worker and waits; watches for ComfyUI's interrupt. Raises what the node raised."""

    async def call_async(self, call: NodeCall) -> Any:
        """The same without blocking the running event loop."""

    def file_names(self, folder: str) -> list[str] | None:
        """Today's files of one of ComfyUI's model folders; None when it has no such folder."""

    def forget(self, instance: str) -> None:
        """The host dropped this node instance. Never raises and never starts a worker."""


class NodeCall:
    """One call of a node's function. `instance` is None for calls on the class (IS_CHANGED, VALIDATE_INPUTS)."""

    __slots__ = ("args", "function", "instance", "key", "kwargs", "return_types")

    def __init__(
        self,
        key: ClassKey,
        instance: str | None,
        function: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        return_types: Sequence[Any] = (),
    ) -> None:
        self.key = key
        self.instance = instance
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.return_types = return_types


class ProxyFactory:
    """Makes the proxies of one site and remembers them: the same worker class is the same proxy in every module."""

    def __init__(self, caller: NodeCaller) -> None:
        self._caller = caller
        self._proxies: dict[ClassKey, type] = {}

    def proxies(self, description: Mapping[str, Any]) -> list[type]:
        """The proxies of a description's `classes`, in its order."""
        return [self._proxy(entry) for entry in description["classes"]]

    def forget_all(self) -> None:
        """Makes new classes from now on: the pack's code or its environment changed."""
        self._proxies.clear()

    def _proxy(self, entry: Mapping[str, Any]) -> type:
        key = (entry["module"], entry["qualname"])
        if key not in self._proxies:
            self._proxies[key] = _make_proxy(key, entry, self._caller)
        return self._proxies[key]


def _make_proxy(key: ClassKey, entry: Mapping[str, Any], caller: NodeCaller) -> type:
    module, qualname = key
    attributes = {name: thaw(value) for name, value in entry["attributes"].items() if name not in _NOT_COPIED}
    namespace: dict[str, Any] = {
        **attributes,
        "__module__": module,
        "__qualname__": qualname,
        "__init__": _make_init(caller),
        _IS_PROXY: True,
    }
    if entry["input_types"] is not None or entry["input_types_error"]:
        namespace["INPUT_TYPES"] = _make_input_types(entry["input_types"] or {"required": {}}, caller)
    return_types = attributes.get("RETURN_TYPES", ())
    for name, function in entry["functions"].items():
        if name == "INPUT_TYPES":
            continue  # answered above; asking the worker would start one for every /object_info
        namespace[name] = _make_function(key, name, function, caller, return_types)
    return type(qualname.rpartition(".")[2], (), namespace)


def _make_init(caller: NodeCaller) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        # ComfyUI makes one object per node id and class and drops it with its cache: the worker follows.
        self._comfy_env_instance = uuid.uuid4().hex
        weakref.finalize(self, caller.forget, self._comfy_env_instance).atexit = False

    return __init__


def _make_input_types(frozen: Any, caller: NodeCaller) -> classmethod[Any, Any, Any]:
    """Answers from the snapshot, at once; lists of model files are those of today, from the host's own folders."""
    snapshot = thaw(frozen)
    lists_files = '"$folder"' in json.dumps(frozen)

    def INPUT_TYPES(cls: type) -> Any:
        return thaw(frozen, caller.file_names) if lists_files else _fresh(snapshot)

    return classmethod(INPUT_TYPES)


def _fresh(value: Any) -> Any:
    """A copy of the containers with the same leaves: callers may change what they got, as with the real method.

    Exact types only: subclasses are tricks with a behaviour of their own and are handed out as they are.
    """
    if type(value) is dict:
        return {key: _fresh(item) for key, item in value.items()}
    if type(value) is list:
        return [_fresh(item) for item in value]
    if type(value) is tuple:
        return tuple(_fresh(item) for item in value)
    return value


def _make_function(
    key: ClassKey, name: str, info: Mapping[str, Any], caller: NodeCaller, return_types: Sequence[Any]
) -> Any:
    """A function of the same kind (instance, class, static; sync or async) and signature that runs in the worker.

    VALIDATE_INPUTS becomes async: ComfyUI runs it on the server's event loop, which must not wait for a process.
    """

    def prepare(args: tuple[Any, ...], kwargs: dict[str, Any]) -> NodeCall:
        receiver, rest = None, args
        if info["kind"] == "class":
            rest = args[1:]
        elif info["kind"] == "instance" and args and getattr(type(args[0]), _IS_PROXY, False):
            receiver, rest = args[0]._comfy_env_instance, args[1:]
        # Else a plain function that is called on the class, as ComfyUI calls VALIDATE_INPUTS.
        return NodeCall(key, receiver, name, rest, kwargs, return_types)

    def run(*args: Any, **kwargs: Any) -> Any:
        return caller.call(prepare(args, kwargs))

    async def run_async(*args: Any, **kwargs: Any) -> Any:
        return await caller.call_async(prepare(args, kwargs))

    function: Any = run_async if info["async"] or name == "VALIDATE_INPUTS" else run
    function.__name__ = name
    function.__qualname__ = f"{key[1]}.{name}"
    function.__module__ = key[0]
    function.__signature__ = _signature(info["parameters"])
    if info["kind"] == "class":
        return classmethod(function)
    return staticmethod(function) if info["kind"] == "static" else function


def _signature(parameters: Sequence[Sequence[Any]]) -> inspect.Signature:
    """ComfyUI decides by the names in VALIDATE_INPUTS' signature which of its own checks to leave out.

    `parameters`: [name, kind (the number of `inspect._ParameterKind`), has_default] each, `self`/`cls` included.
    """
    return inspect.Signature(
        [
            inspect.Parameter(
                name,
                inspect._ParameterKind(kind),
                default=None if has_default else inspect.Parameter.empty,
            )
            for name, kind, has_default in parameters
        ]
    )
