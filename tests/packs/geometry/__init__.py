"""Shapes: a pack whose own code runs in ComfyUI, and whose heavy part (nodes/mesh) ships an environment of its own."""

from .nodes.main import NODE_CLASS_MAPPINGS as MAIN_NODES
from .nodes.main import NODE_DISPLAY_NAME_MAPPINGS as MAIN_NAMES
from .nodes.mesh import NODE_CLASS_MAPPINGS as MESH_NODES
from .nodes.mesh import NODE_DISPLAY_NAME_MAPPINGS as MESH_NAMES

NODE_CLASS_MAPPINGS = {**MAIN_NODES, **MESH_NODES}
NODE_DISPLAY_NAME_MAPPINGS = {**MAIN_NAMES, **MESH_NAMES}
