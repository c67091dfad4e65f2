"""Which custom_nodes directories a command is about."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from comfy_env_core.cli.exit_codes import NOT_FOUND, CommandError

_PACK_ROOT = Path(__file__).absolute().parents[2]
_NAME = "custom_nodes"


def named_or_found(named: Sequence[Path], environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """The named ones, else the first of those that are looked for. Raises CommandError(NOT_FOUND)."""
    for directory in named:
        if not directory.is_dir():
            raise CommandError(f"--custom-nodes: {str(directory)!r} is no directory.", NOT_FOUND)
    if named:
        # Not `resolve`: a pack may be linked, and is known by the path under which ComfyUI loads it.
        return tuple(Path(os.path.abspath(directory)) for directory in named)
    for directory in _likely(environ):
        if directory.name == _NAME and directory.is_dir():
            return (directory,)
    raise CommandError(
        f"No custom_nodes directory was found: not around {str(_PACK_ROOT)!r}, not in COMFYUI_PATH, and the current "
        f"directory is none. Name it: --custom-nodes DIR",
        NOT_FOUND,
    )


def beside_us(environ: Mapping[str, str] = os.environ) -> Path:
    """The directory that holds this pack. A linked pack is found by the shell's idea of where it is."""
    shell = environ.get("PWD", "")
    if shell and os.path.isdir(shell) and os.path.samefile(shell, _PACK_ROOT):
        return Path(shell).parent
    return _PACK_ROOT.parent


def _likely(environ: Mapping[str, str]) -> Iterator[Path]:
    yield beside_us(environ)
    named = environ.get("COMFYUI_PATH", "").strip()
    if named:
        yield Path(os.path.abspath(named)) / _NAME
    here = Path(os.path.abspath(environ.get("PWD") or os.curdir))
    for directory in (here, *here.parents):
        yield directory
        yield directory / _NAME
