"""Which of the V3 API's forms this ComfyUI has: they differ in what INPUT_TYPES takes and gives."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from comfy_env_core.comfyui.nodes.input_types import InputTypes
from comfy_env_core.comfyui.nodes.v3 import finalized_inputs, inputs_with_schema, inputs_with_v3_data


def input_types_method(base: Any, inputs: InputTypes, schema: Any) -> Callable[..., Any]:
    """INPUT_TYPES for a proxy, of the same form as that of `base`, ComfyUI's ComfyNode."""
    parameters = inspect.signature(base.INPUT_TYPES).parameters
    if "live_inputs" in parameters:
        return inputs_with_v3_data.make_method(inputs, schema)
    if "return_schema" in parameters:
        return inputs_with_schema.make_method(inputs, schema)
    return finalized_inputs.make_method(inputs)
