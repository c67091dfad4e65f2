"""Enough of torchaudio for ComfyUI to be imported; nothing in it computes anything."""

from . import transforms as transforms

__version__ = "0"
