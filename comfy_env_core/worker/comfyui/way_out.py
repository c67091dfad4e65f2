"""What a user can do when a node needs in its own process what lives in ComfyUI's."""

from __future__ import annotations

import sys
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any

from comfy_env_core.wire.errors import NotHere
from comfy_env_core.worker.comfyui.hosted import is_borrowed


def call_node(function: Any, request: Mapping[str, Any], site_module: str) -> Any:
    """The node's function with the arguments of the request (see `execution`). Raises what it raises; NotHere says in
    addition which node it was, what it was given, and the way out."""
    try:
        value = function(*request["args"], **request["kwargs"])
    except NotHere as error:
        raise _explained(error, request, site_module) from error
    return _awaited(value, request, site_module) if isinstance(value, Coroutine) else value


async def _awaited(coroutine: Coroutine[Any, Any, Any], request: Mapping[str, Any], site_module: str) -> Any:
    """The same for an async function."""
    try:
        return await coroutine
    except NotHere as error:
        raise _explained(error, request, site_module) from error


def _explained(error: NotHere, request: Mapping[str, Any], site_module: str) -> NotHere:
    return NotHere(f"{error}. {_way_out(request, site_module)}")


def _way_out(request: Mapping[str, Any], site_module: str) -> str:
    module, path = request["class"]
    node = _node_id(module, path, site_module)
    given = list(_given(request))
    what = f" was given {' and '.join(given)} and" if given else ""
    return (
        f"The node {node!r}{what} needs in its own process what stays in ComfyUI's. Keep it in ComfyUI's process: "
        f'write in_host = ["{node}"] under [options] in the comfy-env.toml of its pack.'
    )


def _given(request: Mapping[str, Any]) -> Iterator[str]:
    """The arguments that are objects of the host."""
    named = [*enumerate(request["args"], 1), *request["kwargs"].items()]
    for name, value in named:
        if is_borrowed(value):
            type_name = getattr(type(value), "__comfy_env_type__", type(value).__name__)
            yield f"{name!r} ({type_name})"


def _node_id(module: str, path: str, site_module: str) -> str:
    """What ComfyUI calls the class, as far as the site's mapping tells."""
    mapping = getattr(sys.modules.get(site_module), "NODE_CLASS_MAPPINGS", None) or {}
    for name, kind in mapping.items():
        if (getattr(kind, "__module__", None), getattr(kind, "__qualname__", None)) == (module, path):
            return str(name)
    return path.rpartition("[")[2].rstrip("]")
