"""Enough of torchvision for ComfyUI to be imported; nothing in it computes anything.

The real torchvision must be built against exactly the torch beside it and is loaded by ComfyUI for models that no
test uses. Asking the stand-in for anything else raises AttributeError in the ordinary way.
"""

from . import transforms as transforms

__version__ = "0"
