"""Colour work from a pack that needs numpy 2: an ordinary ComfyUI pack that knows nothing of isolation."""

from .colour import FinishPicture, GradientMap

NODE_CLASS_MAPPINGS = {"ModernGradientMap": GradientMap, "ModernFinishPicture": FinishPicture}

NODE_DISPLAY_NAME_MAPPINGS = {
    "ModernGradientMap": "Gradient Map (numpy 2)",
    "ModernFinishPicture": "Finish Picture (numpy 2)",
}
