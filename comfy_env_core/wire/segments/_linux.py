"""Linux: memfd. No name, not in /dev/shm and not under its limit, freed by the kernel with its last user."""

from __future__ import annotations

import ctypes
import os
import sys

assert sys.platform == "linux"

MFD_CLOEXEC = 0x0001
CAN_WRITE_DESCRIPTOR = True


def create(size_bytes: int) -> int:
    """A descriptor of fresh zeroed memory; the caller closes it. Raises OSError (ENOMEM, EMFILE)."""
    descriptor = _memfd()
    try:
        os.ftruncate(descriptor, size_bytes)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _memfd() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("comfy-env", MFD_CLOEXEC)
    # conda's and uv's interpreters are built on a glibc older than the function but run on a newer one.
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = int(library.memfd_create(b"comfy-env", MFD_CLOEXEC))
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Creating shared memory failed: {os.strerror(number)}")
    return descriptor
