"""Builds every missing environment. ComfyUI-Manager runs this with ComfyUI's Python after an install or update."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import comfy_env_core.doorway

if __name__ == "__main__":
    sys.exit(comfy_env_core.doorway.install(sys.argv[1:]))
