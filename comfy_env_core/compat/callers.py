"""Who calls: several functions of `comfy_env` mean the pack that calls them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def calling_module() -> Mapping[str, Any]:
    """The globals of the nearest caller that is not of this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
    return frame.f_globals


def calling_directory() -> Path:
    """Where the caller's file lies, written as it was imported: a linked pack stays where ComfyUI sees it."""
    file = calling_module().get("__file__")
    return Path(os.path.abspath(file)).parent if isinstance(file, str) else Path.cwd()
