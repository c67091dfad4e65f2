from __future__ import annotations

import os
import sys
from typing import Any

import nodes
from comfy.comfy_types import IO, ComfyNodeABC, InputTypeDict
from comfy_execution.graph_utils import GraphBuilder

from .shared import ANY


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
    def run(self, seed: int) -> tuple[list[Any]]:
        return ([nodes.MAX_RESOLUTION, nodes.NODE_DISPLAY_NAME_MAPPINGS["KSampler"]],)


class Expand(Where):
    RETURN_TYPES = ("INT",)

    def run(self, seed: int) -> dict[str, Any]:
        graph = GraphBuilder()
        return {"result": (graph.node("HostDouble", number=seed).out(0),), "expand": graph.finalize()}
