"""Runs a pack's `comfy_entrypoint`, as ComfyUI's loader would."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from types import ModuleType
from typing import Any

#: How a path of `NodeClasses` begins that leads through an entry point.
ENTRYPOINT = "comfy_entrypoint()"


class Entrypoints:
    """The node classes of modules that give them by `comfy_entrypoint()`; each is asked once.

    `complete` runs a coroutine to its end and gives its result; `comfyui` is ComfyUI's source.
    """

    def __init__(self, complete: Callable[[Coroutine[Any, Any, Any]], Any], comfyui: Path | None) -> None:
        self._complete = complete
        self._comfyui = comfyui
        self._known: dict[str, dict[str, type]] = {}

    def classes(self, module: ModuleType) -> dict[str, type]:
        """Classes by node id, in the extension's order. Raises what the pack's code raises, and TypeError when that
        gives something else than ComfyUI expects."""
        name = module.__name__
        if name not in self._known:
            self._known[name] = self._complete(self._load(module))
        return self._known[name]

    async def _load(self, module: ModuleType) -> dict[str, type]:
        extension: Any = getattr(module, "comfy_entrypoint")()  # noqa: B009  # a module is not known to have it
        if hasattr(extension, "__await__"):
            extension = await extension
        if not hasattr(extension, "get_node_list"):
            raise TypeError(
                f"comfy_entrypoint of {module.__name__!r} returned a {type(extension).__name__}, not a ComfyExtension."
            )
        if self._calls_on_load():
            await extension.on_load()
        nodes = await extension.get_node_list()
        if not isinstance(nodes, list):
            raise TypeError(
                f"get_node_list of {module.__name__!r} returned a {type(nodes).__name__}, not a list."
            )
        return {str(node.GET_SCHEMA().node_id): node for node in nodes}

    def _calls_on_load(self) -> bool:
        """Whether this ComfyUI's loader does: 0.3.75 has the method and never calls it, later releases do."""
        return self._comfyui is not None and b"on_load()" in (self._comfyui / "nodes.py").read_bytes()


def has_entrypoint(module: ModuleType) -> bool:
    """Whether ComfyUI would call it: it prefers the mapping where a module has both."""
    members = vars(module)
    return callable(members.get("comfy_entrypoint")) and members.get("NODE_CLASS_MAPPINGS") is None
