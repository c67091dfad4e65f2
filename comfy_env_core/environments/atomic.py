"""Files that are there whole or not at all, and directories that vanish in one step."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_atomically(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Writes beside `path`, flushes to the disk, renames, and flushes the directory where the system can.

    After a power cut the file is the old one, the new one, or absent, never a half. Raises OSError.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)  # mkstemp's 0600 would hide records from other users of a shared store
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Makes a rename inside `directory` survive a power cut. Windows cannot open directories and needs no such call."""
    if sys.platform == "win32":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        pass  # some network file systems refuse; the rename itself has happened
    finally:
        os.close(handle)


def remove_tree(directory: Path) -> None:
    """Removes `directory` so that at no moment a half of it can be taken for the whole: renamed aside, then deleted.

    What the deletion cannot remove stays under a name ending in ".trash" for `remove_trash`; only a failing rename
    raises (OSError). A symlink is unlinked, its target never touched.
    """
    aside = set_aside(directory)
    if aside is not None:
        delete_tree(aside)


def set_aside(directory: Path) -> Path | None:
    """The first half of `remove_tree`: nothing is at `directory` any more. Where it is now, None if nowhere."""
    if directory.is_symlink():
        directory.unlink()
        return None
    if not directory.exists():
        return None
    aside = directory.with_name(f".{directory.name}.{uuid.uuid4().hex[:8]}.trash")
    os.rename(directory, aside)
    return aside


def remove_trash(directory: Path) -> None:
    """Deletes what earlier removals in `directory` left behind (a killed process, a file that Windows held open)."""
    for left in directory.glob(".*.trash"):
        delete_tree(left)


def delete_tree(directory: Path) -> None:
    """Deletes as much as can be deleted: read-only files are made writable first, the rest is left for next time."""

    def make_writable_and_retry(remove: Callable[[str], object], name: str, _error: Any) -> None:
        # Any: rmtree hands over exception tuples or exceptions, depending on the Python version.
        with contextlib.suppress(OSError):
            os.chmod(os.path.dirname(name), stat.S_IRWXU)
            os.chmod(name, stat.S_IRWXU)
            remove(name)

    shutil.rmtree(directory, onerror=make_writable_and_retry)
