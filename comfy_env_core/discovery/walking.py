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
    top: str, wants: Callable[[str], bool], on_unreadable: OnUnreadable, without: Collection[str] = ()
) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """Each directory from `top` down, with those of its files whose name `wants` accepts.

    Links to directories are not followed (`top` itself may be one), the directories `without` and those of an
    environment are not entered; an environment yields nothing. One scandir per directory; what kind an entry is comes
    with it from the system, without a stat.
    """
    waiting = [top]
    while waiting:
        directory = waiting.pop()
        try:
            files, inner = _listing(directory, wants)
        except OSError as error:
            on_unreadable(directory, error)
            continue
        if files is not None:
            waiting += [path for path in inner if path not in without] if without else inner
            yield directory, files


def _listing(directory: str, wants: Callable[[str], bool]) -> tuple[list[os.DirEntry[str]] | None, list[str]]:
    """The wanted files of a directory and the directories to enter; None for files if it is an environment.

    A tree of 60,000 files passes through this loop at start-up, hence its plainness.
    """
    files: list[os.DirEntry[str]] = []
    inner: list[str] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            name = entry.name
            if name in _ENVIRONMENT_MARKS:
                return None, []
            if entry.is_dir(follow_symlinks=False):
                if not is_foreign(name) and not _is_junction(entry):
                    inner.append(entry.path)
            elif wants(name):
                files.append(entry)
    return files, inner


if sys.platform == "win32":
    from stat import IO_REPARSE_TAG_MOUNT_POINT

    def _is_junction(entry: os.DirEntry[str]) -> bool:
        """Whether a directory is a link of the kind that Python before 3.12 takes for the directory itself."""
        return entry.stat(follow_symlinks=False).st_reparse_tag == IO_REPARSE_TAG_MOUNT_POINT

else:

    def _is_junction(entry: os.DirEntry[str]) -> bool:
        """Only Windows has junctions; symlinks have been told apart before."""
        return False
