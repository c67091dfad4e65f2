"""comfy-env manager as ComfyUI sees it: a pack without nodes of its own."""

import sys

NODE_CLASS_MAPPINGS: dict = {}

# Set up by prestartup_script.py, which only ComfyUI runs; anything else that imports this file gets an empty pack.
if (
    "comfy_env_core.comfyui.startup" in sys.modules
    and sys.modules["comfy_env_core.comfyui.startup"].connect()
):
    # Only where our routes are: the page's scripts need them. And only once: their names may not come twice.
    WEB_DIRECTORY = "./js"
