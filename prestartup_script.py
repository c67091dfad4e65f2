"""ComfyUI runs this before it loads packs: from here on, isolated directories are ours to answer for."""

import os
import sys

_root = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, _root)
try:
    import comfy_env_core.doorway
finally:
    # The package is found from now on by its own location; our other folders must not become importable.
    sys.path.remove(_root)

comfy_env_core.doorway.prestartup()
