"""The module `comfy_env`, as packs written for comfy-env import it: in ComfyUI's process, in workers, in installers.

It is served to every process by a finder; nothing is installed. The calls are those of comfy-env's releases up to
0.4.46 (https://pypi.org/project/comfy-env) and of the releases before 0.3, as public packs use them. What they do here
differs in one way: nothing that a pack calls decides what is isolated, its `comfy-env.toml` files do.

The standard library alone; Python 3.9.
"""

from __future__ import annotations

from comfy_env_core.compat.backend import Backend
from comfy_env_core.compat.modules import ComfyEnvFinder

__all__ = ["Backend", "ComfyEnvFinder"]
