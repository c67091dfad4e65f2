"""Nodes on meshes: trimesh and shapely live in this directory's own environment, and so do the MESH objects."""

import json
import os
import platform

import numpy as np

from .rendering import render
from .shapes import cross_section, knot_path, sweep


def describe_surroundings(node):
    return json.dumps(
        {"node": node, "python": platform.python_version(), "numpy": np.__version__, "pid": os.getpid()}
    )


class SweepKnot:
    """A torus knot with a rounded star as its cross-section: a trimesh object that never leaves this environment."""

    CATEGORY = "geometry"
    FUNCTION = "build"
    RETURN_TYPES = ("MESH", "STRING")
    RETURN_NAMES = ("mesh", "ran_in")

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "turns": ("INT", {"default": 2, "min": 1, "max": 9}),
                "windings": ("INT", {"default": 3, "min": 1, "max": 9}),
                "corners": ("INT", {"default": 5, "min": 3, "max": 12}),
                "thickness": ("FLOAT", {"default": 0.34, "min": 0.05, "max": 1.0, "step": 0.01}),
                "twists": ("INT", {"default": 3, "min": 0, "max": 24}),
                "steps": ("INT", {"default": 360, "min": 24, "max": 2000}),
            }
        }

    def build(self, turns, windings, corners, thickness, twists, steps):
        mesh = sweep(knot_path(turns, windings, steps), cross_section(corners, thickness), corners, twists)
        return (mesh, describe_surroundings("SweepKnot"))


class RenderMesh:
    """The mesh in soft light: IMAGE (1, height, width, 3), and MASK (1, height, width) where it covers the picture."""

    CATEGORY = "geometry"
    FUNCTION = "render"
    RETURN_TYPES = ("IMAGE", "MASK", "STRING")
    RETURN_NAMES = ("image", "mask", "ran_in")

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "mesh": ("MESH",),
                "camera": ("GEOMETRY_CAMERA",),
                "width": ("INT", {"default": 512, "min": 16, "max": 4096}),
                "height": ("INT", {"default": 512, "min": 16, "max": 4096}),
            }
        }

    def render(self, mesh, camera, width, height):
        colour, coverage = render(mesh.vertices, mesh.faces, camera, width, height)
        return (colour[None], coverage[None], describe_surroundings("RenderMesh"))


NODE_CLASS_MAPPINGS = {"GeometrySweepKnot": SweepKnot, "GeometryRenderMesh": RenderMesh}
NODE_DISPLAY_NAME_MAPPINGS = {"GeometrySweepKnot": "Sweep Knot", "GeometryRenderMesh": "Render Mesh"}
