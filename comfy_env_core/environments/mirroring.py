"""Copying a directory tree so that it can be begun, interrupted, and continued: the second time only what differs."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from comfy_env_core.environments.atomic import remove_tree

_PART = ".comfy-env-part"


class Mirror:
    """Makes `target` the same as `source`. Files that are hard-linked to each other there are so here too.

    Links that name `source` name `place` in the copy: the path at which its files are used, wherever they lie.
    `copied_bytes` grows while it works; `tell` is called with it after every file that was copied.
    """

    def __init__(
        self,
        source: Path,
        target: Path,
        place: Path,
        tell: Callable[[int], None],
        without: frozenset[str] = frozenset(),
    ) -> None:
        self.copied_bytes = 0
        self._source = source
        self._target = target
        self._place = place
        self._tell = tell
        self._without = without
        self._copies: dict[tuple[int, int], Path] = {}  # of files with several links: where their copy is

    def run(self) -> None:
        """Copies what differs and removes what is not in `source`, but for the names `without` at the top.

        Raises OSError; run it again then.
        """
        self._copies.clear()
        directories: list[tuple[Path, Path]] = [(self._source, self._target)]
        for source, target in directories:  # grows while it is walked
            target.mkdir(parents=True, exist_ok=True)
            if not os.access(target, os.W_OK):
                target.chmod(stat.S_IRWXU)
            names = set(self._without) if source == self._source else set()
            with os.scandir(source) as entries:
                for entry in entries:
                    if entry.name in names or entry.name.endswith(".trash"):
                        continue
                    names.add(entry.name)
                    if self._copy(Path(entry.path), target / entry.name):
                        directories.append((source / entry.name, target / entry.name))
            self._remove_others(target, names)
        for source, target in reversed(directories):
            shutil.copystat(source, target)  # last: filling it changes its time, and needs the right to write

    def _copy(self, source: Path, target: Path) -> bool:
        """Copies one entry; whether it is a directory, whose entries come later."""
        status = os.lstat(source)
        if stat.S_ISDIR(status.st_mode):
            if os.path.lexists(target) and (target.is_symlink() or not target.is_dir()):
                target.unlink()
            return True
        if target.is_dir() and not target.is_symlink():
            remove_tree(target)
        if stat.S_ISLNK(status.st_mode):
            self._copy_symlink(source, target)
        elif stat.S_ISREG(status.st_mode):
            self._copy_file(source, status, target)
        return False

    def _copy_symlink(self, source: Path, target: Path) -> None:
        leads_to = os.readlink(source)
        if os.path.isabs(leads_to) and leads_to.startswith(str(self._source) + os.sep):
            leads_to = str(self._place) + leads_to[len(str(self._source)) :]
        if os.path.lexists(target):
            if target.is_symlink() and os.readlink(target) == leads_to:
                return
            target.unlink()
        os.symlink(leads_to, target)

    def _copy_file(self, source: Path, status: os.stat_result, target: Path) -> None:
        key = (status.st_dev, status.st_ino)
        known = self._copies.get(key) if status.st_nlink > 1 else None
        if known is not None and self._link(known, target):
            return
        if not _is_same(status, target):
            part = target.with_name(target.name[:100] + _PART)
            shutil.copy2(source, part)
            os.replace(part, target)
            self.copied_bytes += status.st_size
            self._tell(self.copied_bytes)
        if status.st_nlink > 1:
            self._copies[key] = target

    def _link(self, known: Path, target: Path) -> bool:
        """False where it has to be copied: the disk has no links, or there are too many of this file."""
        try:
            if os.path.lexists(target):
                if os.path.samefile(known, target):
                    return True
                target.unlink()
            os.link(known, target)
        except OSError:
            return False
        return True

    def _remove_others(self, target: Path, names: set[str]) -> None:
        for path in list(target.iterdir()):
            if path.name in names:
                continue
            if path.is_dir() and not path.is_symlink():
                remove_tree(path)
            else:
                path.unlink()


def _is_same(status: os.stat_result, target: Path) -> bool:
    """By size and time, as far as the target's file system keeps times: to 0.1 µs, or to seconds alone."""
    try:
        there = os.lstat(target)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(there.st_mode) or there.st_size != status.st_size:
        return False
    if sys.platform != "win32" and stat.S_IMODE(there.st_mode) != stat.S_IMODE(status.st_mode):
        return False
    unit_ns = 10**9 if there.st_mtime_ns % 10**9 == 0 else 1000
    return there.st_mtime_ns // unit_ns == status.st_mtime_ns // unit_ns
