"""macOS: POSIX shared memory that loses its name at once.

It can be sized once, is rounded up to whole pages, and can only be mapped, and only shared: read(2), write(2) and
MAP_PRIVATE are refused. A private mapping is therefore Mach's copy-on-write copy of a shared one. That is a snapshot:
it does not follow what is written into the segment later, not even in pages that were never touched, so it cannot be
used for the segment's next bytes and is always made anew. Source: bsd/kern/posix_shm.c and osfmk/vm/vm_map.c of xnu.
"""

from __future__ import annotations

import _posixshmem  # type: ignore[import-not-found]  # the module behind multiprocessing.shared_memory, which keeps names and cannot go without
import ctypes
import functools
import os
import secrets
import sys
from typing import Any

from comfy_env_core.wire.segments import _posix
from comfy_env_core.wire.segments._posix import PAGE_BYTES, close, name_of, open_named, size_of, unmap

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
# mach/vm_statistics.h and mach/vm_inherit.h
VM_FLAGS_ANYWHERE = 0x1
VM_INHERIT_COPY = 1


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


def map_memory(handle: int, size_bytes: int, private: bool) -> int:
    """The address of a new writable mapping; `unmap` it. Raises OSError (ENOMEM)."""
    shared = _posix.map_memory(handle, size_bytes, False)
    if not private:
        return shared
    try:
        return _copy_on_write(shared, size_bytes)
    finally:
        unmap(shared, size_bytes)


def write(handle: int, offset: int, data: memoryview) -> None:
    """Copy bytes into the segment, through a mapping."""
    end = offset + data.nbytes
    address = map_memory(handle, end, False)
    try:
        memoryview((ctypes.c_ubyte * data.nbytes).from_address(address + offset)).cast("B")[:] = data
    finally:
        unmap(address, end)


def was_written(address: int, size_bytes: int) -> bool:
    """Whether a snapshot differs from the segment nobody says."""
    return True


def forget_writes(address: int, size_bytes: int) -> bool:
    """A snapshot cannot be brought up to date."""
    return False


def open_watch() -> None:
    """There is no way to ask whether ordinary memory was written."""


def _copy_on_write(address: int, size_bytes: int) -> int:
    """The address of a copy of a mapping that shares its pages until one side writes. Raises OSError."""
    target, current, most = ctypes.c_uint64(0), ctypes.c_int(0), ctypes.c_int(0)
    status = _remap()(
        _task(),
        ctypes.byref(target),
        size_bytes,
        0,
        VM_FLAGS_ANYWHERE,
        _task(),
        address,
        True,
        ctypes.byref(current),
        ctypes.byref(most),
        VM_INHERIT_COPY,
    )
    if status:
        raise OSError(
            None, f"Copying a mapping of {size_bytes} bytes failed: mach_vm_remap returned {status}"
        )
    return target.value


# Any: a foreign function.
@functools.lru_cache(maxsize=None)
def _remap() -> Any:
    """mach_vm_remap of mach/mach_vm.h: target task, target, size, alignment mask, flags, source task, source, whether
    to copy, the two protections that come back, inheritance."""
    remap = _posix.library().mach_vm_remap
    number, long, pointer, integer = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_int
    remap.argtypes = [number, pointer, long, long, integer, number, long, integer, pointer, pointer, number]
    return remap


@functools.lru_cache(maxsize=None)
def _task() -> int:
    """mach_task_self(), which is a macro for this."""
    return ctypes.c_uint32.in_dll(_posix.library(), "mach_task_self_").value
