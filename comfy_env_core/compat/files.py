"""The files of a pack: example inputs put in place, and lists of what is there."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Union

from comfy_env_core.compat.callers import calling_directory

#: Where a destination begins with one of these, it is the directory that ComfyUI uses, wherever the user put it.
_COMFYUI_DIRECTORIES = {
    "input": "get_input_directory",
    "output": "get_output_directory",
    "temp": "get_temp_directory",
    "user": "get_user_directory",
}

PathLike = Union[str, "os.PathLike[str]"]


def copy_files(src: PathLike, dst: PathLike, pattern: str = "*", overwrite: bool = False) -> int:
    """Copies the files in `src` that match to below `dst`; gives their number. Existing files stay.

    Relative paths are the calling pack's, but for a `dst` such as "input/3d", which is ComfyUI's. A `src` that is not
    there has no files. Raises OSError.
    """
    here = calling_directory()
    source, target = here / src, _comfyui_directory(dst) or here / dst
    copied = 0
    for file in sorted(source.glob(pattern)):
        place = target / file.relative_to(source)
        if file.is_file() and (overwrite or not place.exists()):
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, place)
            copied += 1
    return copied


def input_files(
    sources: str | Sequence[Any],
    exts: Sequence[str] | None = None,
    placeholder: str | None = None,
) -> list[str]:
    """The names of files in ComfyUI's input directory, sorted, with "/" in them.

    A source is a folder in it, or {"dir": folder, "recursive": bool, "rel_to_input": bool}; `exts` are the endings that
    count, all if None. Without a file the list holds the `placeholder`, if there is one.
    """
    base = Path(importlib.import_module("folder_paths").get_input_directory())
    endings = {ending.lower() for ending in exts or ()}
    names = {
        name
        for source in ([sources] if isinstance(sources, str) else sources)
        for name in _names(base, {"dir": source} if isinstance(source, str) else source)
        if not endings or os.path.splitext(name)[1].lower() in endings
    }
    return sorted(names) or ([placeholder] if placeholder is not None else [])


def _names(base: Path, source: Mapping[str, Any]) -> Iterator[str]:
    folder = base / source.get("dir", "")
    root = base if source.get("rel_to_input") else folder
    files = folder.rglob("*") if source.get("recursive") else folder.glob("*")
    return (file.relative_to(root).as_posix() for file in files if file.is_file())


def _comfyui_directory(path: PathLike) -> Path | None:
    """The directory if `path` is a text such as "input" or "input/3d", and there is a ComfyUI to ask."""
    if not isinstance(path, str):
        return None
    first, _, rest = path.replace("\\", "/").partition("/")
    if first not in _COMFYUI_DIRECTORIES:
        return None
    try:
        folder_paths = importlib.import_module("folder_paths")
    except ImportError:
        return None
    return Path(getattr(folder_paths, _COMFYUI_DIRECTORIES[first])()) / rest
