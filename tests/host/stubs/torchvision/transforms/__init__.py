"""``torchvision.transforms``, importable and empty."""

from . import functional as functional
