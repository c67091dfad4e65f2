"""Later ComfyUI: INPUT_TYPES gives the inputs alone, dynamic ones as they are written.

ComfyUI works out from them and from the prompt which inputs a node has this time, which are hidden, and how the values
are nested before they are handed to `execute`; nothing of that is the proxy's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from comfy_env_core.comfyui.nodes.input_types import InputTypes


def make_method(inputs: InputTypes) -> Callable[..., Any]:
    """`()` → inputs."""

    def input_types(cls: type) -> Any:
        return inputs.get()

    return input_types
