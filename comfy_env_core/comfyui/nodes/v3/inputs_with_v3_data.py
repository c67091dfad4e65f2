"""The form between the two others: INPUT_TYPES is told the values of a prompt and works out dynamic inputs itself.

Seen in ComfyUI's isolation branch. What a prompt makes of a dynamic input follows from the pack's own input objects,
which stay in the worker: nodes that have such inputs say so when they are run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from comfy_env_core.comfyui.nodes.input_types import InputTypes

_DYNAMIC = ("COMFY_AUTOGROW", "COMFY_DYNAMIC")


def make_method(inputs: InputTypes, schema: Any) -> Callable[..., Any]:
    """`(include_hidden=True, return_schema=False, live_inputs=None)` → inputs, or (inputs, schema, v3_data)."""

    def input_types(
        cls: type, include_hidden: bool = True, return_schema: bool = False, live_inputs: Any = None
    ) -> Any:
        found = inputs.get()
        if live_inputs is not None:
            _refuse_dynamic(schema.node_id, found)
        if not include_hidden:
            found.pop("hidden", None)
        return (found, schema, {}) if return_schema else found

    return input_types


def _refuse_dynamic(node_id: str, found: Mapping[str, Mapping[str, Any]]) -> None:
    dynamic = [
        name
        for category in ("required", "optional")
        for name, info in found.get(category, {}).items()
        if str(info[0]).startswith(_DYNAMIC)
    ]
    if dynamic:
        raise NotImplementedError(
            f"{node_id!r} has dynamic inputs ({', '.join(dynamic)}), which isolated nodes cannot have in this version "
            "of ComfyUI. Update it, or name the node in in_host under [options] of the pack's comfy-env.toml."
        )
