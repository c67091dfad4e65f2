"""Whether environments can live where the store is: asked before gigabytes are fetched, and said in plain words.

Every one of these ends a build anyway: late, and with a message of some tool that names neither cause nor way out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.report import Report

if sys.platform == "win32":
    import winreg

#: The longest path below a prefix that is usual: a licence text in torch 2.13, with `Lib/site-packages`.
LONGEST_INSIDE = 190
#: Windows refuses longer paths unless its user switched long ones on (MAX_PATH, less the final zero).
WINDOWS_LIMIT = 259
#: Where conda packages hold their prefix in binaries, this much room is left for it.
CONDA_LIMIT = 255

LENGTH_REMEDY = (
    "Set COMFY_ENV_ROOT to a shorter directory such as C:\\ce, or switch long paths on (LongPathsEnabled)."
)
_ELSEWHERE = "Set COMFY_ENV_ROOT to a directory {}, then build again."


def check_place(root: Path, prefix: Path, report: Report) -> None:
    """`root` of the store exists; `prefix` is the one to be filled.

    Raises BuildError: CONFIG for a place where environments cannot work. What may go wrong is said in the log.
    """
    _check_text(root)
    _check_links(root)
    _check_execution(root)
    if sys.platform != "win32":
        _check_conda_length(prefix)
        return
    warning = None if long_paths_enabled() else length_warning(prefix)
    if warning is not None:
        report.log(f"{warning} {LENGTH_REMEDY}")


def length_warning(prefix: Path) -> str | None:
    """What will go wrong on Windows without long paths; None when the prefix is short enough."""
    longest = len(str(prefix)) + 1 + LONGEST_INSIDE
    if longest <= WINDOWS_LIMIT:
        return None
    return (
        f"Paths in {str(prefix)!r} can become {longest} characters long, and Windows allows {WINDOWS_LIMIT}: packages "
        "with deep folders (torch) may fail to install."
    )


def long_paths_enabled() -> bool:
    """Windows: what the machine's administrator chose; an older one does not know the setting. Elsewhere True."""
    if sys.platform == "win32":
        try:
            with winreg.OpenKey(
                winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem"
            ) as key:
                return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])
        except OSError:
            return False
    return True


def _check_text(root: Path) -> None:
    """uv, rattler, pixi and every message between processes are UTF-8; a Linux path may be any bytes."""
    try:
        str(root).encode("utf-8")
    except UnicodeEncodeError:
        raise BuildError(
            BuildCause.CONFIG,
            f"The path of the store, {str(root)!r}, is no text in this system's encoding "
            f"({sys.getfilesystemencoding()}), and the tools that build read UTF-8 only.",
            _ELSEWHERE.format("with a plain name")
            + " If the name looks right elsewhere, start ComfyUI with LC_ALL=C.UTF-8 instead.",
        ) from None


def _check_links(root: Path, make_link: Callable[[str, str], None] = os.symlink) -> None:
    """FAT, exFAT and some network disks know no symbolic links, which every environment off Windows is full of."""
    if sys.platform == "win32":
        return
    place = root / f".link-{uuid.uuid4().hex[:8]}"
    try:
        make_link("nowhere", str(place))
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            return  # full or read-only: told by whoever writes there next, with its own remedy
        raise BuildError(
            BuildCause.CONFIG,
            f"The disk of {str(root)!r} has no symbolic links ({error.strerror}), which environments need; FAT and "
            "exFAT disks are like this.",
            _ELSEWHERE.format("on a disk with ext4, XFS, Btrfs, APFS or the like"),
        ) from error
    finally:
        with contextlib.suppress(OSError):
            place.unlink()


def _check_execution(root: Path) -> None:
    """A disk mounted "noexec" holds an interpreter that nobody may start."""
    if sys.platform == "win32" or not hasattr(os, "ST_NOEXEC"):
        return
    try:
        flags = os.statvfs(root).f_flag
    except OSError:
        return  # told by whoever writes there next
    if flags & os.ST_NOEXEC:
        raise BuildError(
            BuildCause.CONFIG,
            f"No program may be started from the disk of {str(root)!r}: it is mounted with 'noexec', and an "
            "environment is started from where it lies.",
            _ELSEWHERE.format("on another disk") + " Or mount this one without noexec.",
        )


def _check_conda_length(prefix: Path) -> None:
    length = len(os.fsencode(prefix))
    if length > CONDA_LIMIT:
        raise BuildError(
            BuildCause.CONFIG,
            f"The environment's path {str(prefix)!r} is {length} bytes long, and conda packages have room for "
            f"{CONDA_LIMIT}.",
            _ELSEWHERE.format("with a shorter path"),
        )
