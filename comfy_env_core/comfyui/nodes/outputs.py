"""What a worker without torch returns, as ComfyUI's own nodes expect it.

Such a worker gets and returns numpy arrays. ComfyUI's socket types fix what downstream nodes may rely on: IMAGE is a
float32 tensor (batch, height, width, channels), MASK float32 (batch, height, width), LATENT and AUDIO are dicts of
tensors. Source: docs.comfy.org, "Images, Latents, and Masks". Custom types pass as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy
import torch

#: Socket types whose value is one float tensor.
_FLOAT_SOCKETS = frozenset({"IMAGE", "MASK"})
#: Socket types whose value is a dict that holds tensors.
_DICT_SOCKETS = frozenset({"LATENT", "AUDIO"})


def to_host_values(result: Any, return_types: Sequence[Any]) -> Any:
    """A node's result with arrays made tensors where the socket type demands it.

    `result`: what the node's function returned: a tuple or list by position of `return_types`, a dict with "result",
    or anything else, which is handed back as it is. Nothing is copied unless the dtype changes.
    """
    if isinstance(result, Mapping) and "result" in result:
        return {**result, "result": to_host_values(result["result"], return_types)}
    if not isinstance(result, (tuple, list)):
        return result
    types = [*return_types, *[None] * (len(result) - len(return_types))]
    return type(result)(_to_socket(value, kind) for value, kind in zip(result, types, strict=False))


def _to_socket(value: Any, kind: Any) -> Any:
    if isinstance(value, list):
        return [_to_socket(item, kind) for item in value]
    if kind in _FLOAT_SOCKETS and isinstance(value, numpy.ndarray):
        return torch.from_numpy(value).to(torch.float32)
    if kind in _DICT_SOCKETS and isinstance(value, dict):
        return {
            key: torch.from_numpy(item) if isinstance(item, numpy.ndarray) else item
            for key, item in value.items()
        }
    return value
