"""Linux: memfd. No name, not in /dev/shm and not under its limit, freed by the kernel with its last user."""

from __future__ import annotations

import fcntl
import os
import sys

from comfy_env_core.wire.segments import pages
from comfy_env_core.wire.segments._posix import (
    PAGE_BYTES,
    close,
    last_error,
    library,
    map_memory,
    name_of,
    open_named,
    unmap,
)

assert sys.platform == "linux"

__all__ = [
    "NAMED",
    "PAGE_BYTES",
    "close",
    "create",
    "forget_writes",
    "map_memory",
    "name_of",
    "open_named",
    "open_watch",
    "size_of",
    "unmap",
    "was_written",
    "write",
]

MFD_CLOEXEC = 0x0001
MFD_ALLOW_SEALING = 0x0002
F_ADD_SEALS, F_GET_SEALS = 1033, 1034  # not in the fcntl module of every build
F_SEAL_SHRINK = 0x0002
MADV_DONTNEED = 4
NAMED = False

open_watch = pages.open_watch


def create(size_bytes: int) -> int:
    """A descriptor of fresh zeroed memory; the caller closes it. Raises OSError (ENOMEM, EMFILE)."""
    descriptor = _memfd()
    try:
        os.ftruncate(descriptor, size_bytes)
        fcntl.fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def size_of(handle: int) -> int:
    """The segment's size in bytes. Raises OSError for memory that could be taken away under a mapping of it: reading
    there would be a bus error."""
    if not fcntl.fcntl(handle, F_GET_SEALS) & F_SEAL_SHRINK:
        raise OSError("Shared memory arrived that its sender can still make smaller")
    return os.fstat(handle).st_size


def write(handle: int, offset: int, data: memoryview) -> None:
    """Copy bytes into pages nobody touched yet. Raises OSError (ENOSPC, ENOMEM) where memory is short.

    write(2) takes half the time of copying into a mapping of such pages, because none is cleared or faulted in first;
    and a mapping without memory behind it would be a bus error, not an exception.
    """
    while data.nbytes:
        written = os.pwrite(handle, data, offset)
        offset += written
        data = data[written:]


def was_written(address: int, size_bytes: int) -> bool:
    """Whether a private mapping has pages of its own in this range."""
    return pages.has_own_pages(address, size_bytes)


def forget_writes(address: int, size_bytes: int) -> bool:
    """Drop the own pages of a private mapping, so that it shows the segment again."""
    if library().madvise(address, size_bytes, MADV_DONTNEED):
        raise last_error("Dropping written pages")
    return True


def _memfd() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("comfy-env", MFD_CLOEXEC | MFD_ALLOW_SEALING)
    # conda's and uv's interpreters are built on a glibc older than the function but run on a newer one.
    descriptor = int(library().memfd_create(b"comfy-env", MFD_CLOEXEC | MFD_ALLOW_SEALING))
    if descriptor < 0:
        raise last_error("Creating shared memory")
    return descriptor
