"""`python -m comfy_env_core …`, or from anywhere `python <this directory> …`, with ComfyUI's Python."""

import os
import sys

if not __package__:
    # Python was given the directory and put it first on the path; what must be importable is its parent.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import comfy_env_core.doorway

if __name__ == "__main__":
    sys.exit(comfy_env_core.doorway.command_line(sys.argv[1:]))
