"""Nodes that use what ComfyUI offers to a node while it runs. Also installed without comfy-env.toml, to compare."""

from __future__ import annotations

import os
import time
from pathlib import Path

import folder_paths

if (Path(folder_paths.get_input_directory()) / "import-slowly").exists():
    time.sleep(10)

from . import failures, services, stopping, writing

#: Both copies of this pack are there at once: the one in ComfyUI's own process names its nodes otherwise.
PREFIX = "Plain" if Path(__file__).parent.name.endswith("-plain") else "RunTime"

folder_paths.add_model_folder_path(f"{PREFIX}_meshes", os.path.join(folder_paths.models_dir, "meshes"))
folder_paths.folder_names_and_paths[f"{PREFIX}_meshes"][1].add(".obj")

NODE_CLASS_MAPPINGS = {
    PREFIX + kind.__name__: kind
    for module in (failures, services, stopping, writing)
    for kind in vars(module).values()
    if isinstance(kind, type) and kind.__module__ == module.__name__ and hasattr(kind, "FUNCTION")
}
