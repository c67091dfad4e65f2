"""`comfy.comfy_types` and `node_helpers`: types for annotations, base classes, and what handles conditioning."""

from __future__ import annotations

import enum
from abc import ABC
from collections.abc import Callable
from types import ModuleType
from typing import Any

from comfy_env_core.worker.configuration import Configuration
from comfy_env_core.worker.home import Home

#: As of ComfyUI 0.3.75; the types that have one name, and the two that stand for several.
_TYPES = (
    *("STRING", "IMAGE", "MASK", "LATENT", "BOOLEAN", "INT", "FLOAT", "COMBO", "CONDITIONING", "SAMPLER"),
    *("SIGMAS", "GUIDER", "NOISE", "CLIP", "CONTROL_NET", "VAE", "MODEL", "LORA_MODEL", "LOSS_MAP"),
    *("CLIP_VISION", "CLIP_VISION_OUTPUT", "STYLE_MODEL", "GLIGEN", "UPSCALE_MODEL", "AUDIO", "WEBCAM"),
    *("POINT", "FACE_ANALYSIS", "BBOX", "SEGS", "VIDEO"),
)
_SEVERAL = {"ANY": "*", "NUMBER": "FLOAT,INT", "PRIMITIVE": "STRING,FLOAT,INT,BOOLEAN"}


def fill(module: ModuleType, home: Home, configuration: Configuration) -> None:
    """`comfy.comfy_types`, and `comfy.comfy_types.node_typing`, which has the same names."""
    annotations = ("FileLocator", "HiddenInputTypeDict", "InputTypeDict", "InputTypeOptions")
    vars(module).update(dict.fromkeys(annotations, dict))
    vars(module).update(IO=IO, ComfyNodeABC=ComfyNodeABC, CheckLazyMixin=CheckLazyMixin)


def fill_node_helpers(module: ModuleType, home: Home, configuration: Configuration) -> None:
    """`node_helpers`."""
    vars(module).update(conditioning_set_values=conditioning_set_values, pillow=pillow)


class _Text(str, enum.Enum):  # enum members have a __dict__
    def __str__(self) -> str:
        return str(self.value)

    def __ne__(self, other: object) -> bool:
        """Unequal is what has no type in common with it; "*" has all."""
        if self.value == "*" or other == "*":
            return False
        if not isinstance(other, str):
            return True
        mine, theirs = set(self.value.split(",")), set(str(other).split(","))
        return not (mine <= theirs or theirs <= mine)

    __hash__ = str.__hash__


IO = _Text("IO", {**{name: name for name in _TYPES}, **_SEVERAL})  # type: ignore[call-overload]  # enum's call


class ComfyNodeABC(ABC):  # noqa: B024  # ComfyUI's asks for INPUT_TYPES, which it would ask for itself
    """What V1 nodes may derive from."""


class CheckLazyMixin:
    """Asks for every input that is not there yet."""

    def check_lazy_status(self, **kwargs: Any) -> list[str]:
        """The names of those."""
        return [name for name, value in kwargs.items() if value is None]


def conditioning_set_values(conditioning: Any, values: Any = None, append: bool = False) -> list[Any]:
    """The conditioning with `values` in each part's options; with `append` added to what is there."""
    changed = []
    for part in conditioning:
        options = dict(part[1])
        for name, value in (values or {}).items():
            before = options.get(name) if append else None
            options[name] = value if before is None else before + value
        changed.append([part[0], options])
    return changed


def pillow(fn: Callable[[Any], Any], arg: Any) -> Any:
    """`fn(arg)`, a second time if need be with Pillow told to accept pictures that end too early."""
    from PIL import ImageFile, UnidentifiedImageError  # noqa: PLC0415  # only packs that call it have it

    try:
        return fn(arg)
    except (OSError, UnidentifiedImageError, ValueError):
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            return fn(arg)
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before
