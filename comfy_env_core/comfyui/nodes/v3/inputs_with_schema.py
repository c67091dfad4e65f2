"""ComfyUI 0.3.52 to 0.3.75: INPUT_TYPES also gives the schema, from which ComfyUI takes the hidden inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from comfy_env_core.comfyui.nodes.input_types import InputTypes


def make_method(inputs: InputTypes, schema: Any) -> Callable[..., Any]:
    """`(include_hidden=True, return_schema=False)` → inputs, or (inputs, schema)."""

    def input_types(cls: type, include_hidden: bool = True, return_schema: bool = False) -> Any:
        found = inputs.get()
        if not include_hidden:
            found.pop("hidden", None)
        return (found, schema) if return_schema else found

    return input_types
