"""Functions that ComfyUI calls on a proxy and that run in the worker."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from comfy_env_core.wire.values.file_lists import Files

#: What a class is found by in its worker: (module, qualname).
ClassKey = tuple[str, str]

#: An attribute of every proxy class.
IS_PROXY = "_comfy_env_is_proxy"


class NodeCall:
    """One call of a node's function. `instance` is None for calls on the class (IS_CHANGED, VALIDATE_INPUTS).

    `hidden`: what `cls.hidden` holds for a V3 class, by attribute; None for others, which get it as arguments.
    """

    __slots__ = ("args", "function", "hidden", "instance", "key", "kwargs", "return_types")

    def __init__(
        self,
        key: ClassKey,
        instance: str | None,
        function: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        return_types: Sequence[Any] = (),
        hidden: Mapping[str, Any] | None = None,
    ) -> None:
        self.key = key
        self.instance = instance
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.return_types = return_types
        self.hidden = hidden


class NodeCaller(Protocol):
    """How a proxy reaches the worker. One per site."""

    @property
    def files(self) -> Files:
        """Today's files, from ComfyUI's own folders."""

    def call(self, call: NodeCall) -> Any:
        """Runs in the worker and waits; watches for ComfyUI's interrupt. Raises what the node raised."""

    async def call_async(self, call: NodeCall) -> Any:
        """The same without blocking the running event loop."""

    def describe_inputs(
        self, keys: Sequence[ClassKey], done: Callable[[Sequence[Mapping[str, Any]] | None], None]
    ) -> bool:
        """Asks what the inputs of these classes are by now (`worker.description.describe_inputs`) and returns at once.

        `done` is called with the answers on another thread, with None if there are none. False when no worker runs,
        since none is started for this; nothing is called then.
        """

    def remember_inputs(self, inputs: Mapping[ClassKey, Mapping[str, Any]]) -> None:
        """The answers of `describe_inputs` hold from now on: keep them for the next start. Returns at once."""

    def forget(self, instance: str) -> None:
        """The host dropped this node instance. Never raises and never starts a worker."""


#: Functions that become async: ComfyUI runs them on the server's event loop, which must not wait for a process.
_ON_THE_LOOP = frozenset({"VALIDATE_INPUTS", "validate_inputs"})

Receive = Callable[[str, tuple[Any, ...], dict[str, Any]], NodeCall]


def make_function(
    key: ClassKey, name: str, info: Mapping[str, Any], caller: NodeCaller, receive: Receive
) -> Any:
    """A function of the same kind (instance, class, static, property; sync or async) and signature, by a description's
    `functions`. `receive(kind, args, kwargs)` makes the call of what it is called with, receiver included."""
    kind = info["kind"]
    if kind == "property":
        return property(lambda self: caller.call(receive("property", (self, name), {})))

    def run(*args: Any, **kwargs: Any) -> Any:
        return caller.call(receive(kind, args, kwargs))

    async def run_async(*args: Any, **kwargs: Any) -> Any:
        return await caller.call_async(receive(kind, args, kwargs))

    function: Any = run_async if info["async"] or name in _ON_THE_LOOP else run
    function.__name__ = name
    function.__qualname__ = f"{key[1]}.{name}"
    function.__module__ = key[0]
    function.__signature__ = _signature(info["parameters"])
    if kind == "class":
        return classmethod(function)
    return staticmethod(function) if kind == "static" else function


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
