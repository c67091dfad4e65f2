"""What Linux and macOS have in common: file descriptors and mmap.

Not the module `mmap`: before Python 3.13 each of its mappings keeps a duplicate of the descriptor open, and a few
hundred cached images would exhaust the usual limit of 1024.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os

PAGE_BYTES = mmap.PAGESIZE
_FAILED = ctypes.c_void_p(-1).value


def close(handle: int) -> None:
    """Close our descriptor; the memory lives as long as anybody maps it."""
    os.close(handle)


def name_of(handle: int) -> str:
    """Segments have none; their descriptors travel."""
    raise OSError(f"Shared memory {handle} has no name on this system")


def open_named(name: str) -> int:
    """As `name_of`."""
    raise OSError(f"Shared memory cannot be opened by the name {name!r} on this system")


def size_of(handle: int) -> int:
    """The segment's size in bytes."""
    return os.fstat(handle).st_size


def map_memory(handle: int, size_bytes: int, private: bool) -> int:
    """The address of a new writable mapping; `unmap` it. Raises OSError (ENOMEM)."""
    protection = mmap.PROT_READ | mmap.PROT_WRITE
    sharing = mmap.MAP_PRIVATE if private else mmap.MAP_SHARED
    address = library().mmap(None, size_bytes, protection, sharing, handle, 0)
    if address == _FAILED:
        raise last_error(f"Mapping {size_bytes} bytes of shared memory")
    return int(address)


def unmap(address: int, size_bytes: int) -> None:
    """End a mapping."""
    library().munmap(address, size_bytes)


def last_error(doing: str) -> OSError:
    """The error of the last call through `library`."""
    number = ctypes.get_errno()
    return OSError(number, f"{doing} failed: {os.strerror(number)}")


@functools.lru_cache(maxsize=None)
def library() -> ctypes.CDLL:
    """The C library, with the calls used here declared."""
    library = ctypes.CDLL(None, use_errno=True)
    integer = ctypes.c_int
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, integer, integer, integer, ctypes.c_longlong]
    library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, integer]
    return library
