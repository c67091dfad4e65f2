"""Walking through a pack without entering what is not the pack's own source."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator

# Besides these, no directory is entered whose name begins with "." (.git, .pixi, .venv) or with our own "_env_".
_FOREIGN_NAMES = frozenset(
    ("node_modules", "__pycache__", "site-packages", "python_embeded", "python_embedded")
)
# What a directory holds that is an environment, whatever its name: PEP 405, and conda's package records.
_ENVIRONMENT_MARKS = frozenset(("pyvenv.cfg", "conda-meta"))

OnUnreadable = Callable[[str, OSError], None]


def is_foreign(name: str) -> bool:
    """Whether a directory of this name holds other people's files: environments, packages, caches, version control."""
    return name.startswith((".", "_env_")) or name in _FOREIGN_NAMES


def walk(
    top: str, on_unreadable: OnUnreadable, without: Collection[str] = ()
) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """Each directory from `top` down with its entries that are not directories.

    Links to directories are not followed (`top` itself may be one), the directories `without` and those of an
    environment are not entered; an environment yields nothing. One scandir per directory; what kind an entry is comes
    with it from the system, without a stat.
    """
    waiting = [top]
    while waiting:
        directory = waiting.pop()
        try:
            files, inner = _listing(directory)
        except OSError as error:
            on_unreadable(directory, error)
            continue
        if files is not None:
            waiting.extend(path for path in inner if path not in without)
            yield directory, files


def _listing(directory: str) -> tuple[list[os.DirEntry[str]] | None, list[str]]:
    """The files of a directory and the directories to enter; None for files if it is an environment."""
    files: list[os.DirEntry[str]] = []
    inner: list[str] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            name = entry.name
            if name in _ENVIRONMENT_MARKS:
                return None, []
            if not _is_own_directory(entry):
                files.append(entry)
            elif not is_foreign(name):
                inner.append(entry.path)
    return files, inner


if sys.platform == "win32":
    from stat import IO_REPARSE_TAG_MOUNT_POINT

    def _is_own_directory(entry: os.DirEntry[str]) -> bool:
        """A directory that is neither a symlink nor a junction, which Python before 3.12 takes for a directory."""
        if not entry.is_dir(follow_symlinks=False):
            return False
        return entry.stat(follow_symlinks=False).st_reparse_tag != IO_REPARSE_TAG_MOUNT_POINT

else:

    def _is_own_directory(entry: os.DirEntry[str]) -> bool:
        """A directory that is not a symlink."""
        return entry.is_dir(follow_symlinks=False)
