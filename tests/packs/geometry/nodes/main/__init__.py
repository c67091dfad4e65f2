"""Nodes that need nothing special and run in ComfyUI itself."""

import json
import os
import platform

import numpy as np


class AimCamera:
    """A camera as plain data, for the renderer in the other process."""

    CATEGORY = "geometry"
    FUNCTION = "aim"
    RETURN_TYPES = ("GEOMETRY_CAMERA", "STRING")
    RETURN_NAMES = ("camera", "ran_in")

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "turn_deg": ("FLOAT", {"default": 30.0, "min": -360.0, "max": 360.0}),
                "height_deg": ("FLOAT", {"default": 25.0, "min": -89.0, "max": 89.0}),
                "distance": ("FLOAT", {"default": 4.2, "min": 1.0, "max": 50.0, "step": 0.1}),
                "opening_deg": ("FLOAT", {"default": 38.0, "min": 5.0, "max": 120.0}),
            }
        }

    def aim(self, turn_deg, height_deg, distance, opening_deg):
        camera = {
            "turn_deg": turn_deg,
            "height_deg": height_deg,
            "distance": distance,
            "opening_deg": opening_deg,
        }
        surroundings = {"python": platform.python_version(), "numpy": np.__version__, "pid": os.getpid()}
        return (camera, json.dumps({"node": "AimCamera", **surroundings}))


NODE_CLASS_MAPPINGS = {"GeometryAimCamera": AimCamera}
NODE_DISPLAY_NAME_MAPPINGS = {"GeometryAimCamera": "Aim Camera"}
