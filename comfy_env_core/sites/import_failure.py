"""Why a pack's own code did not import in its environment: in which of its files, and which line would mend it."""

from __future__ import annotations

import traceback
from pathlib import Path

from comfy_env_core.building.distribution_names import distribution_of_module
from comfy_env_core.building.system_libraries import library_remedy, missing_library

_AUTHOR = "If the pack is not yours, show this to its author."
_TRACEBACK = f"The log has the traceback. {_AUTHOR}"
#: What belongs to ComfyUI itself: an environment gets it only when the pack's file or source says so.
_OF_COMFYUI = frozenset(
    ("comfy", "comfy_api", "comfy_execution", "comfy_extras", "execution", "folder_paths", "nodes", "server")
)
_NOT_THE_PACKS = ("site-packages", "comfy_env_core", "<")


def place_of(error: BaseException, pack_dir: Path | None) -> str:
    """The pack's file and line that was at work: "nodes/mesh.py, line 12"; "" if no file of the pack took part."""
    place = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if pack_dir is not None and Path(frame.filename).is_relative_to(pack_dir):
            place = f"{Path(frame.filename).relative_to(pack_dir).as_posix()}, line {frame.lineno}"
        elif pack_dir is None and not any(part in frame.filename for part in _NOT_THE_PACKS):
            place = f"{frame.filename}, line {frame.lineno}"
    return place


def import_message(error: BaseException, pack_dir: Path | None) -> str:
    """What happened, as a sentence or two."""
    place = place_of(error, pack_dir)
    where = f" at {place}" if place else ""
    return (
        f"The environment is built, but the pack's own code failed{where}: {type(error).__name__}: {error}."
    )


def import_remedy(error: BaseException) -> str:
    """What to do about it: the line that is missing from comfy-env.toml, or the library that is from the system."""
    library = missing_library(str(error))
    if library is not None:
        return library_remedy(library)
    module = error.name if isinstance(error, ModuleNotFoundError) else None
    if not module:
        return _TRACEBACK
    if module.partition(".")[0] in _OF_COMFYUI:
        return f'Write host = "comfyui" under [options] of the pack\'s comfy-env.toml. {_AUTHOR}'
    line = f'{distribution_of_module(module)} = "*"'
    return f"Add the line `{line}` under [pypi-dependencies] of the pack's comfy-env.toml. {_AUTHOR}"
