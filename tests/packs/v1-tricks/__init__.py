"""Node classes as packs in the wild write them, by the ways in which they try what ComfyUI makes of them."""

from .callables import CALLABLES
from .inputs import INPUTS
from .types_of_sockets import SOCKETS

NODE_CLASS_MAPPINGS = {**SOCKETS, **INPUTS, **CALLABLES}
NODE_DISPLAY_NAME_MAPPINGS = {"TrickAnything": "Anything at all"}
