from __future__ import annotations

import os
import sys
from typing import Any

from ..shared import ANY


class Sampler:
    """Uses the weights of a model as only a node in ComfyUI's process can."""

    RETURN_TYPES = ("FLOAT", ANY)
    FUNCTION = "run"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"model": ("MODEL",)}}

    def run(self, model: Any) -> tuple[float, list[Any]]:
        weights = next(model.model.diffusion_model.parameters())
        return (float(weights.double().sum()), [os.getpid(), type(model).__name__])


class Surgery(Sampler):
    """Changes them in place."""

    def run(self, model: Any) -> tuple[float, list[Any]]:
        torch = sys.modules["torch"]
        with torch.no_grad():
            next(model.model.diffusion_model.parameters()).mul_(2.0)
        return super().run(model)
