"""comfy-env manager as ComfyUI sees it: a pack without nodes of its own."""

import sys

NODE_CLASS_MAPPINGS: dict = {}
WEB_DIRECTORY = "./js"

# Set up by prestartup_script.py, which only ComfyUI runs; anything else that imports this file gets an empty pack.
if "comfy_env_core.comfyui.startup" in sys.modules:
    sys.modules["comfy_env_core.comfyui.startup"].connect()
