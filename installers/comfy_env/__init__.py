"""`import comfy_env` in a process where no finder of ours is: puts ours there, which then serves the same import.

The folder above is for `PYTHONPATH`. ComfyUI's process hands it to the installers that ComfyUI-Manager starts.
"""

import importlib
import os
import sys

_root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, _root)
try:
    import comfy_env_core.doorway
finally:
    # Our other folders must not become importable: they have names like "tests".
    sys.path.remove(_root)

comfy_env_core.doorway.serve_comfy_env()
importlib.import_module("comfy_env")
