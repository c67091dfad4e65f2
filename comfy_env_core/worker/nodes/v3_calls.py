"""Calls a V3 node class as ComfyUI calls it: on a locked clone of the class, which knows the hidden inputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from comfy_env_core.worker.nodes.schemas import HOOKS


def v3_function(kind: Any, name: str, hidden: Mapping[str, Any]) -> Callable[..., Any]:
    """`execute` or one of ComfyUI's hooks, ready to be called with a node's inputs; any other function as it is.

    `hidden`: by the names of `io.Hidden`'s members. `execute` gives a NodeOutput whose `ui` is plain data: what it is
    made of may need this process.
    """
    if name != "execute" and name not in HOOKS:
        function: Callable[..., Any] = getattr(kind, name)
        return function
    # Only here: it is ComfyUI's own, and a worker without V3 nodes need not have it.
    from comfy_api.internal import make_locked_method_func  # noqa: PLC0415

    if vars(kind).get("SCHEMA") is None:
        kind.GET_SCHEMA()  # ComfyUI has done so before it calls anything
    kind.VALIDATE_CLASS()
    clone = kind.PREPARE_CLASS_CLONE(_clone_argument(kind, hidden))
    run = make_locked_method_func(kind, kind.FUNCTION if name == "execute" else name, clone)
    if name != "execute":
        return run  # type: ignore[no-any-return]  # ComfyUI's

    async def run_async(**inputs: Any) -> Any:
        return _with_plain_ui(await run(**inputs))

    def run_sync(**inputs: Any) -> Any:
        return _with_plain_ui(run(**inputs))

    return run_async if inspect.iscoroutinefunction(run) else run_sync


def _clone_argument(kind: Any, hidden: Mapping[str, Any]) -> dict[Any, Any]:
    """ComfyUI up to 0.3.75 takes the hidden inputs themselves, later releases take them as a part of `v3_data`."""
    from comfy_api.latest._io import Hidden  # noqa: PLC0415  # as above

    members = {Hidden[name]: value for name, value in hidden.items()}
    takes_v3_data = "v3_data" in inspect.signature(kind.PREPARE_CLASS_CLONE).parameters
    return {"hidden_inputs": members} if takes_v3_data else members


def _with_plain_ui(output: Any) -> Any:
    if hasattr(output.ui, "as_dict"):
        output.ui = output.ui.as_dict()
    return output
