"""``torchvision.transforms.functional``: the names spandrel imports, refusing to work."""

from __future__ import annotations

import enum
from typing import NoReturn


class InterpolationMode(enum.Enum):
    """Named in default arguments of upscale models."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"


def normalize(*args: object, **kwargs: object) -> NoReturn:
    raise NotImplementedError(
        "tests run with a stand-in for torchvision: install the real one to use this node"
    )


def rotate(*args: object, **kwargs: object) -> NoReturn:
    raise NotImplementedError(
        "tests run with a stand-in for torchvision: install the real one to use this node"
    )
