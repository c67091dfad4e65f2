from __future__ import annotations

import os
import sys
from typing import Any

import comfy.model_management
import comfy.samplers
import nodes
from comfy.comfy_types import IO, ComfyNodeABC, InputTypeDict
from comfy_execution.graph_utils import GraphBuilder

from .shared import ANY

SAMPLERS = comfy.samplers.KSampler.SAMPLERS


class Where(ComfyNodeABC):
    RETURN_TYPES = (ANY,)
    FUNCTION = "run"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypeDict:
        return {"required": {"seed": (IO.INT, {"default": 0})}}

    def run(self, seed: int) -> tuple[list[Any]]:
        return ([os.getpid(), "torch" in sys.modules, "numpy" in sys.modules],)


class Largest(Where):
    @classmethod
    def INPUT_TYPES(cls) -> InputTypeDict:
        return {"required": {"sampler": (comfy.samplers.KSampler.SAMPLERS,)}}

    def run(self, sampler: str) -> tuple[list[Any]]:
        comfy.model_management.unload_all_models()
        memory = comfy.model_management.get_free_memory() > 0, comfy.model_management.get_total_memory() > 0
        return ([nodes.MAX_RESOLUTION, nodes.NODE_DISPLAY_NAME_MAPPINGS["KSampler"], memory, SAMPLERS],)


class Expand(Where):
    RETURN_TYPES = ("INT",)

    def run(self, seed: int) -> dict[str, Any]:
        graph = GraphBuilder()
        return {"result": (graph.node("HostDouble", number=seed).out(0),), "expand": graph.finalize()}
