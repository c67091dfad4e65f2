"""macOS and other Unixes: POSIX shared memory that loses its name at once."""

from __future__ import annotations

import _posixshmem  # type: ignore[import-not-found]  # the module behind multiprocessing.shared_memory, which keeps names and cannot go without
import os
import secrets
import sys

assert sys.platform != "win32"

CAN_WRITE_DESCRIPTOR = False  # write(2) on these descriptors fails on macOS; they can only be mapped


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
