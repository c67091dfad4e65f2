"""`comfy_execution.graph_utils`, `.graph` and `.utils`, as far as node code uses them.

Arguments have ComfyUI's names, which are sometimes Python's.
"""
# ruff: noqa: A002

from __future__ import annotations

from contextlib import AbstractContextManager
from types import ModuleType, TracebackType
from typing import Any, NamedTuple, Optional

from comfy_env_core.worker.configuration import Configuration
from comfy_env_core.worker.home import Home
from comfy_env_core.worker.running import RunningCall, RunningCalls


def fill_package(module: ModuleType, home: Home, configuration: Configuration) -> None:
    """`comfy_execution`: nothing but its modules."""


def fill_graph(module: ModuleType, home: Home, configuration: Configuration) -> None:
    """`comfy_execution.graph`."""
    import comfy_execution.graph_utils as utils  # noqa: PLC0415  # a stand-in as well

    vars(module).update(ExecutionBlocker=utils.ExecutionBlocker, is_link=is_link)


def fill_graph_utils(module: ModuleType, home: Home, configuration: Configuration) -> None:
    """`comfy_execution.graph_utils`."""
    members = {"__module__": module.__name__, "_prefixes": _Prefixes(home.running)}
    vars(module).update(
        ExecutionBlocker=ExecutionBlocker,
        GraphBuilder=type("GraphBuilder", (_GraphBuilder,), members),
        Node=Node,
        add_graph_prefix=add_graph_prefix,
        is_link=is_link,
    )


def fill_utils(module: ModuleType, home: Home, configuration: Configuration) -> None:
    """`comfy_execution.utils`."""

    def get_executing_context() -> Optional[ExecutionContext]:
        node_id = home.running.fact("node_id")
        if node_id is None:
            return None
        return ExecutionContext(home.running.fact("prompt_id"), node_id, home.running.fact("list_index"))

    vars(module).update(
        CurrentNodeContext=CurrentNodeContext,
        ExecutionContext=ExecutionContext,
        get_executing_context=get_executing_context,
    )


class ExecutionBlocker:
    """A node returns it to keep the nodes behind it from running; ComfyUI shows `message` unless it is None."""

    def __init__(self, message: Optional[str]) -> None:
        self.message = message


ExecutionBlocker.__module__ = "comfy_execution.graph_utils"  # the host knows it by this name


class ExecutionContext(NamedTuple):
    """Which node runs; `list_index` counts the calls for an input that is a list."""

    prompt_id: str
    node_id: str
    list_index: Optional[int]


class CurrentNodeContext(AbstractContextManager["CurrentNodeContext"]):
    """Kept for code that enters one; which node runs is known without it."""

    def __init__(self, prompt_id: str, node_id: str, list_index: Optional[int] = None) -> None:
        self.context = ExecutionContext(prompt_id, node_id, list_index)

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        """Nothing was changed."""


def is_link(obj: Any) -> bool:
    """Whether it is [node id, output number]."""
    return (
        isinstance(obj, list)
        and len(obj) == 2
        and isinstance(obj[0], str)
        and isinstance(obj[1], (int, float))
    )


class Node:
    """A node of a graph that is being built; attributes and methods as ComfyUI's."""

    def __init__(self, id: str, class_type: str, inputs: dict[str, Any]) -> None:
        self.id = id
        self.class_type = class_type
        self.inputs = inputs
        self.override_display_id: Optional[str] = None

    def out(self, index: int) -> list[Any]:
        """A link to an output."""
        return [self.id, index]

    def set_input(self, key: str, value: Any) -> None:
        """None takes the input away."""
        if value is None:
            self.inputs.pop(key, None)
        else:
            self.inputs[key] = value

    def get_input(self, key: str) -> Any:
        """The input, None if there is none."""
        return self.inputs.get(key)

    def set_override_display_id(self, override_display_id: str) -> None:
        """The node on the page that shows the progress of this one."""
        self.override_display_id = override_display_id

    def serialize(self) -> dict[str, Any]:
        """As in a prompt."""
        serialized: dict[str, Any] = {"class_type": self.class_type, "inputs": self.inputs}
        if self.override_display_id is not None:
            serialized["override_display_id"] = self.override_display_id
        return serialized


class _Prefixes:
    """Ids of new nodes begin with that of the node that makes them, the number of the call and of the graph."""

    def __init__(self, running: RunningCalls) -> None:
        self._running = running
        self._call: Optional[RunningCall] = None
        self.set("", 0)

    def set(self, root: str, call_index: int, graph_index: int = 0) -> None:
        self._root, self._call_index, self._graph_index = root, call_index, graph_index

    def next(self, root: Optional[str], call_index: Optional[int], graph_index: Optional[int]) -> str:
        call = self._running.current()
        if call is not self._call and call is not None:
            self._call = call
            self.set(str(call.context.get("node_id")), call.context.get("list_index") or 0)
        given = (root, call_index, graph_index)
        own = (self._root, self._call_index, self._graph_index)
        self._graph_index += 1
        return "".join(f"{mine if other is None else other}." for other, mine in zip(given, own))


class _GraphBuilder:
    """Makes the graph of an expansion; methods as ComfyUI's."""

    _prefixes: _Prefixes

    def __init__(self, prefix: Optional[str] = None) -> None:
        self.prefix = self.alloc_prefix() if prefix is None else prefix
        self.nodes: dict[str, Node] = {}
        self.id_gen = 1

    @classmethod
    def set_default_prefix(cls, prefix_root: str, call_index: int, graph_index: int = 0) -> None:
        """What the ids of the next graphs begin with."""
        cls._prefixes.set(prefix_root, call_index, graph_index)

    @classmethod
    def alloc_prefix(
        cls, root: Optional[str] = None, call_index: Optional[int] = None, graph_index: Optional[int] = None
    ) -> str:
        """A prefix that no other graph of this run has."""
        return cls._prefixes.next(root, call_index, graph_index)

    def node(self, class_type: str, id: Optional[str] = None, **kwargs: Any) -> Node:
        """A new node, or the one that has this id."""
        if id is None:
            name = f"{self.prefix}{self.id_gen}"
            self.id_gen += 1
        else:
            name = self.prefix + id
        return self.nodes.setdefault(name, Node(name, class_type, kwargs))

    def lookup_node(self, id: str) -> Optional[Node]:
        """The node of an id, None if there is none."""
        return self.nodes.get(self.prefix + id)

    def finalize(self) -> dict[str, Any]:
        """The graph, for `expand`."""
        return {node_id: node.serialize() for node_id, node in self.nodes.items()}

    def replace_node_output(self, node_id: str, index: int, new_value: Any) -> None:
        """What was linked to an output gets this value; None takes the inputs away."""
        link = [self.prefix + node_id, index]
        for node in self.nodes.values():
            for key in [key for key, value in node.inputs.items() if is_link(value) and value == link]:
                node.set_input(key, new_value)

    def remove_node(self, id: str) -> None:
        """Raises KeyError."""
        del self.nodes[self.prefix + id]


def add_graph_prefix(
    graph: dict[str, Any], outputs: Any, prefix: str
) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """The same graph and outputs with `prefix` before every node id."""

    def prefixed(value: Any) -> Any:
        return [prefix + value[0], value[1]] if is_link(value) else value

    renamed = {
        prefix + node_id: {
            "class_type": node["class_type"],
            "inputs": {name: prefixed(value) for name, value in node.get("inputs", {}).items()},
        }
        for node_id, node in graph.items()
    }
    return renamed, tuple(prefixed(output) for output in outputs)
