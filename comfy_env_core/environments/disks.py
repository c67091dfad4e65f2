"""The disks of this machine that the store could be moved to, each with the directory that it would get there."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

import psutil

from comfy_env_core.environments.store import Store, default_root

#: A few environments with torch; smaller disks are those of a system's own parts, or sticks.
_LEAST_TOTAL_BYTES = 16 * 10**9
_LEAST_FREE_BYTES = 2 * 10**9
#: File systems without symbolic links, which every environment off Windows is full of.
_WITHOUT_LINKS = frozenset({"vfat", "msdos", "fat32", "exfat"})
_DEFAULT_ID = "default"


class Partition(Protocol):
    """As psutil has it."""

    @property
    def mountpoint(self) -> str: ...

    @property
    def fstype(self) -> str: ...

    @property
    def opts(self) -> str: ...


@dataclasses.dataclass(frozen=True)
class StorePlace:
    """- `id`: the same at every look, as long as the disk is mounted there.
    - `free_bytes`, `total_bytes`: None where the disk does not say.
    """

    id: str
    path: Path
    free_bytes: int | None
    total_bytes: int | None


def store_places(
    store: Store,
    partitions: Callable[[], Iterable[Partition]] = psutil.disk_partitions,
    default: Path | None = None,
) -> tuple[StorePlace, ...]:
    """The usual place first, then a directory on each other disk that has room. Creates nothing.

    A disk that the store lies on already is left out.
    """
    default = default_root() if default is None else default
    places = [StorePlace(_DEFAULT_ID, default, *_room(_existing(default)))]
    known = {_device(Path(os.path.realpath(store.root))), _device(default)}
    for mountpoint in _usable(partitions()):
        device = _device(mountpoint)
        free_bytes, total_bytes = _room(mountpoint)
        if (
            device in known
            or (total_bytes or 0) < _LEAST_TOTAL_BYTES
            or (free_bytes or 0) < _LEAST_FREE_BYTES
        ):
            continue
        known.add(device)
        places.append(StorePlace(_id(mountpoint), _directory_on(mountpoint), free_bytes, total_bytes))
    return tuple(places)


def _usable(partitions: Iterable[Partition]) -> Iterator[Path]:
    """Where the user may make a directory, and start programs from it."""
    for partition in partitions:
        mountpoint, options = Path(partition.mountpoint), partition.opts.split(",")
        lacks_links = sys.platform != "win32" and partition.fstype.lower() in _WITHOUT_LINKS
        if lacks_links or "ro" in options or "noexec" in options or "cdrom" in options:
            continue
        # Containers have single files of the host mounted, and macOS its own parts.
        if os.path.isdir(mountpoint) and os.access(mountpoint, os.W_OK) and not _is_of_system(mountpoint):
            yield mountpoint


def _is_of_system(mountpoint: Path) -> bool:
    return sys.platform == "darwin" and mountpoint.is_relative_to("/System")


def _directory_on(mountpoint: Path) -> Path:
    """Short on Windows, where paths in environments easily become too long."""
    return mountpoint / ("ce" if sys.platform == "win32" else "comfy-env-store")


def _id(mountpoint: Path) -> str:
    return hashlib.sha256(os.fsencode(os.path.normcase(mountpoint))).hexdigest()[:8]


def _device(path: Path) -> int:
    return os.stat(_existing(path)).st_dev


def _existing(path: Path) -> Path:
    """The path, or what exists of those above it."""
    return next(one for one in (path, *path.parents) if one.exists())


def _room(directory: Path) -> tuple[int | None, int | None]:
    try:
        usage = shutil.disk_usage(directory)
    except OSError:
        return None, None
    return usage.free, usage.total
