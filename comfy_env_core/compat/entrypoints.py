"""The nodes of a V3 extension, asked for while a module is being imported."""

from __future__ import annotations

from collections.abc import Coroutine
from types import ModuleType
from typing import Any


def nodes_of_entrypoint(module: ModuleType) -> dict[str, Any]:
    """Node id → class, by the module's `comfy_entrypoint`. Raises what that raises, and RuntimeError if it waits for
    something: the event loop is busy with the import that we are in."""
    extension = _completed(getattr(module, "comfy_entrypoint")(), module)  # noqa: B009  # a module is not known to have it
    return {str(node.GET_SCHEMA().node_id): node for node in _completed(extension.get_node_list(), module)}


def _completed(value: Any, module: ModuleType) -> Any:
    if not isinstance(value, Coroutine):
        return value
    try:
        value.send(None)
    except StopIteration as end:
        return end.value
    value.close()
    raise RuntimeError(
        f"The comfy_entrypoint of {module.__name__!r} waits for something, which cannot be done during an import. "
        "Export it from the pack's __init__.py and let ComfyUI call it."
    )
