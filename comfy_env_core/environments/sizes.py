"""How much room directories take on the disk, and how much of it would come back if they were removed.

Environments share files with the package caches and with each other by hard links, so their sizes do not add up: what a
removal gives back are the files whose every link is removed. Clones of a copy-on-write file system (APFS, Btrfs) cannot
be told from copies and count as such.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import stat
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from comfy_env_core.environments.store import Store
from comfy_env_core.environments.workspace import PREFIX_OF_NAME

#: The owner of links that lie in none of the trees that were measured.
ELSEWHERE = "elsewhere"
#: The unit of st_blocks, whatever the file system's own is (POSIX <sys/stat.h> leaves it open; every system uses it).
_BLOCK_BYTES = 512


@dataclasses.dataclass(frozen=True)
class Size:
    """Of one owner: `unique_bytes` come back when it is removed, `shared_bytes` are held by others too.

    `shared_with`: owner → how much of it that one holds too; a file that several hold counts for each of them.
    """

    unique_bytes: int
    shared_bytes: int
    shared_with: Mapping[str, int]

    @property
    def total_bytes(self) -> int:
        return self.unique_bytes + self.shared_bytes


@dataclasses.dataclass
class _LinkedFile:
    """A file with several links: how many each owner has of them."""

    size_bytes: int
    links: int
    owners: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)


class Measurement:
    """Several owners' trees, walked once."""

    def __init__(self) -> None:
        self._alone: collections.Counter[str] = collections.Counter()
        self._linked: dict[tuple[int, int], _LinkedFile] = {}

    def add(self, owner: str, tree: Path, without: Collection[Path] = ()) -> None:
        """Walks a tree that belongs to `owner`. A missing one is empty; what vanishes meanwhile does not count."""
        for status in _statuses(tree, frozenset(map(os.fspath, without))):
            if status.st_nlink <= 1 or not _is_file(status):
                self._alone[owner] += _size(status)
            else:
                key = (status.st_dev, status.st_ino)
                if key not in self._linked:
                    self._linked[key] = _LinkedFile(_size(status), status.st_nlink)
                self._linked[key].owners[owner] += 1

    def owners(self) -> tuple[str, ...]:
        """All that hold anything, in no order."""
        return tuple({*self._alone, *(owner for file in self._linked.values() for owner in file.owners)})

    def size(self, owner: str) -> Size:
        """Of one owner. Where those of many are wanted, `sizes` looks through the files once."""
        return self.sizes().get(owner, Size(0, 0, {}))

    def sizes(self) -> Mapping[str, Size]:
        """Of every owner."""
        unique, shared = collections.Counter(self._alone), collections.Counter[str]()
        shared_with: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for file in self._linked.values():
            has_others = file.owners.total() < file.links
            for owner, links in file.owners.items():
                if links >= file.links:
                    unique[owner] += file.size_bytes
                    continue
                shared[owner] += file.size_bytes
                for other in file.owners.keys() - {owner}:
                    shared_with[owner][other] += file.size_bytes
                if has_others:
                    shared_with[owner][ELSEWHERE] += file.size_bytes
        return {
            owner: Size(unique[owner], shared[owner], dict(shared_with[owner].most_common()))
            for owner in {*unique, *shared}
        }

    def freed_by_removing(self, owners: Collection[str]) -> int:
        """The bytes that come back when all of these are removed: more than their unique bytes if they share."""
        together = sum(
            file.size_bytes
            for file in self._linked.values()
            if sum(file.owners[owner] for owner in owners) >= file.links
        )
        return sum(self._alone[owner] for owner in owners) + together

    def total_bytes(self) -> int:
        """What all the trees take, each file counted once."""
        return self._alone.total() + sum(file.size_bytes for file in self._linked.values())


def measure(trees: Mapping[str, Sequence[Path]]) -> Measurement:
    """Owner → trees, walked once: seconds for many gigabytes, so not for the start of ComfyUI."""
    measurement = Measurement()
    for owner, roots in trees.items():
        for root in roots:
            measurement.add(owner, root)
    return measurement


def measure_store(store: Store, apart: Mapping[str, Path] | None = None) -> Measurement:
    """The whole store: environments by their ids, caches as "cache/uv", other directories by name.

    `apart`: name → what is measured by itself and not as a part of these.
    """
    measurement = Measurement()
    apart = apart or {}
    paths = set(apart.values())
    for name, path in apart.items():
        measurement.add(name, path, paths - {path})
    if store.root.is_dir():
        for directory in (*store.root.iterdir(), *store.cache_dir.glob("*")):
            if directory not in paths and directory != store.cache_dir:
                name = directory.relative_to(store.root).as_posix().removeprefix(PREFIX_OF_NAME)
                measurement.add(name, directory, paths)
    return measurement


def size_of(tree: Path) -> Size:
    """Of one tree alone; what it shares is `ELSEWHERE`."""
    return measure({"": [tree]}).size("")


def _statuses(tree: Path, without: frozenset[str]) -> Iterator[os.stat_result]:
    """Of everything at and below `tree` but what is `without`; links themselves and not where they lead."""
    try:
        yield os.lstat(tree)
    except OSError:
        return
    waiting = [os.fspath(tree)] if tree.is_dir() and not tree.is_symlink() else []
    while waiting:
        try:
            entries = os.scandir(waiting.pop())
        except OSError:
            continue  # vanished, or not ours to read
        with entries:
            for entry in entries:
                if entry.path in without:
                    continue
                try:
                    # What scandir knows on Windows has neither st_nlink nor st_ino.
                    status = (
                        os.lstat(entry.path) if sys.platform == "win32" else entry.stat(follow_symlinks=False)
                    )
                    is_directory = entry.is_dir(follow_symlinks=False)
                except OSError:
                    continue
                yield status
                if is_directory:
                    waiting.append(entry.path)


def _is_file(status: os.stat_result) -> bool:
    """Directories have links too, from their own entries, and cannot be shared."""
    return not stat.S_ISDIR(status.st_mode)


def _size(status: os.stat_result) -> int:
    """What it takes on the disk; Windows tells only what it holds."""
    blocks: int | None = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else blocks * _BLOCK_BYTES
