"""Nodes for every way ComfyUI deals with a node besides calling it: state, errors, interrupts, validation, changes."""

import time

import comfy.model_management
from comfy.utils import ProgressBar

from .surroundings import describe_surroundings


class PaletteError(ValueError):
    """An exception class that only this pack has."""


class CountCalls:
    """How often this very node ran: state kept on the instance, so per node in the workflow."""

    CATEGORY = "legacy numpy/behaviours"
    FUNCTION = "count"
    RETURN_TYPES = ("INT",)
    OUTPUT_NODE = True

    def __init__(self):
        self.calls = 0

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    @classmethod
    def IS_CHANGED(cls):
        return float("nan")

    def count(self):
        self.calls += 1
        return {"ui": {"calls": [self.calls]}, "result": (self.calls,)}


class FailLoudly:
    """Raises the pack's own exception, two calls deep."""

    CATEGORY = "legacy numpy/behaviours"
    FUNCTION = "fail"
    RETURN_TYPES = ("IMAGE",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"colour": ("STRING", {"default": "octarine"})}}

    def fail(self, colour):
        return (look_up_colour(colour),)


def look_up_colour(colour):
    raise PaletteError(f"no such colour: {colour!r}")


class WorkSlowly:
    """Takes its time, reports every step, and stops when asked to."""

    CATEGORY = "legacy numpy/behaviours"
    FUNCTION = "work"
    RETURN_TYPES = ("INT",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "steps": ("INT", {"default": 10, "min": 1, "max": 100000}),
                "step_s": ("FLOAT", {"default": 0.1, "min": 0.0, "max": 10.0, "step": 0.01}),
            }
        }

    @classmethod
    def IS_CHANGED(cls, steps, step_s):
        return float("nan")

    def work(self, steps, step_s):
        progress = ProgressBar(steps)
        for step in range(steps):
            comfy.model_management.throw_exception_if_processing_interrupted()
            time.sleep(step_s)
            progress.update_absolute(step + 1, steps)
        return {"ui": {"steps": [steps]}, "result": (steps,)}


class ChooseStep:
    """Checks its own input, and runs again for odd steps although nothing changed."""

    CATEGORY = "legacy numpy/behaviours"
    FUNCTION = "choose"
    RETURN_TYPES = ("INT",)
    OUTPUT_NODE = True

    def __init__(self):
        self.runs = 0

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"step": ("INT", {"default": 10, "min": 0, "max": 1000})}}

    @classmethod
    def VALIDATE_INPUTS(cls, step):
        return True if step != 13 else "13 brings bad luck"

    @classmethod
    def IS_CHANGED(cls, step):
        return float("nan") if step % 2 else step

    def choose(self, step):
        self.runs += 1
        return {"ui": {"step": [step], "runs": [self.runs]}, "result": (step,)}


class AskWhere:
    """Shows what it runs in: an output node with ``ui`` text, the shape of the picture it got included."""

    CATEGORY = "legacy numpy/behaviours"
    FUNCTION = "ask"
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}, "hidden": {"unique_id": "UNIQUE_ID"}}

    def ask(self, image, unique_id):
        shape = "x".join(str(size) for size in image.shape)
        return {
            "ui": {"text": [describe_surroundings("AskWhere"), type(image).__name__, shape, str(unique_id)]}
        }
