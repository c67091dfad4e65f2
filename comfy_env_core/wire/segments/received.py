"""The segments of one received message."""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import weakref
from typing import Any

from comfy_env_core.wire.errors import DecodeError

MAP_FAILED = ctypes.c_void_p(-1).value


class ReceivedSegments:
    """Descriptors that came with a message; owns them until `close`."""

    def __init__(self, descriptors: list[int]) -> None:
        self._descriptors = descriptors

    # Any: a ctypes array, the one buffer that torch, numpy and memoryview all accept as writable.
    def map(self, segment: int, offset: int, size_bytes: int) -> Any:
        """A private writable buffer over `size_bytes` of a segment, unmapped when its last user goes."""
        if not 0 <= segment < len(self._descriptors):
            raise DecodeError(f"The message refers to segment {segment} of {len(self._descriptors)}")
        descriptor = self._descriptors[segment]
        available = os.fstat(descriptor).st_size
        # Reading past the end would be a bus error, not an exception.
        if (
            size_bytes <= 0
            or offset < 0
            or offset % mmap.ALLOCATIONGRANULARITY
            or offset + size_bytes > available
        ):
            raise DecodeError(
                f"Bytes {offset} to {offset + size_bytes} of a segment of {available} are not there"
            )
        return _map_private(descriptor, offset, size_bytes)

    def close(self) -> None:
        """Close the descriptors; mappings stay."""
        while self._descriptors:
            os.close(self._descriptors.pop())


def _map_private(descriptor: int, offset: int, size_bytes: int) -> Any:
    """Like mmap.mmap, which before Python 3.13 keeps a duplicate of the descriptor open per mapping: a few
    hundred cached images would exhaust the usual limit of 1024."""
    library = _library()
    protection = mmap.PROT_READ | mmap.PROT_WRITE
    address = library.mmap(None, size_bytes, protection, mmap.MAP_PRIVATE, descriptor, offset)
    if address == MAP_FAILED:
        number = ctypes.get_errno()
        raise OSError(number, f"Mapping {size_bytes} bytes of shared memory failed: {os.strerror(number)}")
    buffer = (ctypes.c_ubyte * size_bytes).from_address(address)
    weakref.finalize(buffer, library.munmap, address, size_bytes).atexit = False
    return buffer


@functools.lru_cache(maxsize=None)
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    integer = ctypes.c_int
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, integer, integer, integer, ctypes.c_longlong]
    library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return library
