"""The link from an isolated directory to its environment: for people who look around; running never depends on it."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from comfy_env_core.environments.environment import Environment
from comfy_env_core.environments.workspace import PREFIX_OF_NAME

if sys.platform == "win32":
    import _winapi


def link(site_dir: Path, environment: Environment) -> str | None:
    """Makes `site_dir/_env_<id>` lead to the environment and removes links to environments the site had before.

    None when the link is right, else a sentence why there is none. Never raises for what the disk refuses, and never
    touches anything that is not a link.
    """
    place = site_dir / environment.directory.name
    try:
        _remove_outdated(site_dir, environment)
        if is_link(place):
            if _leads_to(place, environment.directory):
                return None
            os.unlink(place)
        elif place.exists():
            return f"No link {str(place)!r}: something that is not a link is already there; it is left alone."
        make_link(place, environment.directory)
    except OSError as error:
        return (
            f"No link {str(place)!r} to the environment: {error.strerror or error}. "
            "The nodes run without it; make the folder writable if you want the link."
        )
    return None


def _remove_outdated(site_dir: Path, environment: Environment) -> None:
    """Links to other environments of the same store, or to nothing, are what an earlier version of the file left."""
    for place in site_dir.glob(f"{PREFIX_OF_NAME}*"):
        if place.name == environment.directory.name or not is_link(place):
            continue
        target = Path(os.readlink(place).removeprefix("\\\\?\\"))
        if target.parent == environment.directory.parent or not place.exists():
            os.unlink(place)


def is_link(place: Path) -> bool:
    """A symlink, or on Windows a junction, which `is_symlink` does not call one."""
    if os.path.islink(place):
        return True
    if sys.platform != "win32":
        return False
    try:
        return os.lstat(place).st_reparse_tag == stat.IO_REPARSE_TAG_MOUNT_POINT
    except OSError:
        return False


def _leads_to(place: Path, directory: Path) -> bool:
    try:
        return os.path.samefile(place, directory)
    except OSError:
        return False  # it leads nowhere


def make_link(place: Path, directory: Path) -> None:
    """A symlink, on Windows a junction. Raises OSError."""
    if sys.platform == "win32":
        # A symlink needs a privilege that ordinary users lack; a junction does not.
        _winapi.CreateJunction(str(directory), str(place))
    else:
        os.symlink(directory, place, target_is_directory=True)
