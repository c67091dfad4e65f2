"""macOS and other Unixes: POSIX shared memory that loses its name at once."""

from __future__ import annotations

import _posixshmem  # type: ignore[import-not-found]  # the module behind multiprocessing.shared_memory, which keeps names and cannot go without
import ctypes
import os
import secrets
import sys

from comfy_env_core.wire.segments._posix import (
    PAGE_BYTES,
    close,
    forget_writes,
    map_memory,
    name_of,
    open_named,
    size_of,
    unmap,
)

assert sys.platform != "win32"

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

NAMED = False


def create(size_bytes: int) -> int:
    """A descriptor of fresh zeroed memory; the caller closes it. Raises OSError (ENOMEM, EMFILE)."""
    name = "/ce-" + secrets.token_hex(8)  # macOS allows 31 characters
    descriptor = _posixshmem.shm_open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    try:
        _posixshmem.shm_unlink(name)
        os.set_inheritable(descriptor, False)
        os.ftruncate(descriptor, size_bytes)
    except BaseException:
        os.close(descriptor)
        raise
    return int(descriptor)


def write(handle: int, offset: int, data: memoryview) -> None:
    """Copy bytes into the segment, through a mapping: write(2) on these descriptors fails on macOS."""
    end = offset + data.nbytes
    address = map_memory(handle, end, False)
    try:
        memoryview((ctypes.c_ubyte * data.nbytes).from_address(address + offset)).cast("B")[:] = data
    finally:
        unmap(address, end)


def was_written(address: int, size_bytes: int) -> bool:
    """Unknown there without Mach calls, so the mapping is always made anew."""
    return True


def open_watch() -> None:
    """There is no way to ask whether ordinary memory was written."""
