"""Nodes that hold memory in the ways that nodes do: in themselves, in a model, in what they return."""

import gc
import os
import weakref

import comfy.model_management
import comfy.model_patcher
import torch

HOLDERS = weakref.WeakSet()


class Block:
    """Part of a cycle, as objects of real packs are: only the garbage collector finds it."""

    def __init__(self, size_bytes):
        self.itself = self
        self.content = b"x" * size_bytes  # bytearray would leave the pages untouched


class HoldInSelf:
    CATEGORY = "memory"
    FUNCTION = "run"
    RETURN_TYPES = ("INT",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"megabytes": ("INT", {"default": 1, "max": 10000}), "turn": ("INT", {"default": 0})}
        }

    def __init__(self):
        HOLDERS.add(self)
        self.turns = []

    def run(self, megabytes, turn):
        self.block = Block(megabytes * 1024 * 1024)
        self.turns.append(turn)
        return {"ui": {"pid": [os.getpid()], "turns": list(self.turns)}, "result": (turn,)}


class HoldOtherwise(HoldInSelf):
    """Another class for the same node id."""


class LoadModel:
    CATEGORY = "memory"
    FUNCTION = "run"
    RETURN_TYPES = ("STRING",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": ("STRING", {"default": "a"})}}

    def run(self, name):
        cpu = torch.device("cpu")
        self.patcher = comfy.model_patcher.ModelPatcher(
            torch.nn.Linear(4, 4), load_device=cpu, offload_device=cpu
        )
        comfy.model_management.load_models_gpu([self.patcher])
        loaded = len(comfy.model_management.current_loaded_models)
        return {"ui": {"loaded": [loaded]}, "result": (name,)}


class MakeBlock:
    CATEGORY = "memory"
    FUNCTION = "run"
    RETURN_TYPES = ("BLOCK",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"megabytes": ("INT", {"default": 1, "max": 10000})}}

    def run(self, megabytes):
        return (Block(megabytes * 1024 * 1024),)


class ShowMemory:
    CATEGORY = "memory"
    FUNCTION = "run"
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"turn": ("INT", {"default": 0})},
            "optional": {"block": ("BLOCK",), "after": ("STRING", {"forceInput": True})},
        }

    def run(self, turn, block=None, after=None):
        gc.collect()
        return {
            "ui": {
                "pid": [os.getpid()],
                "loaded": [len(comfy.model_management.current_loaded_models)],
                "holders": sorted(type(holder).__name__ for holder in HOLDERS),
                "block": [0 if block is None else len(block.content)],
            }
        }


NODE_CLASS_MAPPINGS = {
    "MemoryHoldInSelf": HoldInSelf,
    "MemoryHoldOtherwise": HoldOtherwise,
    "MemoryLoadModel": LoadModel,
    "MemoryMakeBlock": MakeBlock,
    "MemoryShow": ShowMemory,
}
