"""What macOS does to POSIX shared memory, on Linux: sized once, in pages of 16 KiB, mapped shared only, never written
to but through a mapping; and Mach's copy of a mapping, which is a snapshot."""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import Any

from comfy_env_core.wire.segments import _macos, _posix

PAGE = 16 * 1024
TASK = 0x203
MAP_PRIVATE_ANYWHERE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


class FakeDarwin:
    """Stands in for the C library and for `os` in `_posix` and `_macos`."""

    def __init__(self) -> None:
        self._real = _posix.library.__wrapped__()
        self._sized: set[tuple[int, int]] = set()
        self.mapped = 0

    # -- the C library -------------------------------------------------------------------------------------

    def mmap(self, hint: None, size: int, protection: int, sharing: int, descriptor: int, offset: int) -> int:
        if not sharing & mmap.MAP_SHARED or size > os.fstat(descriptor).st_size:
            ctypes.set_errno(22)
            return int(ctypes.c_void_p(-1).value or 0)
        self.mapped += 1
        return int(self._real.mmap(hint, size, protection, sharing, descriptor, offset))

    def munmap(self, address: int, size: int) -> int:
        self.mapped -= 1
        return int(self._real.munmap(address, size))

    def mach_vm_remap(self, task: int, target: Any, size: int, mask: int, flags: int, *source: Any) -> int:
        source_task, address, copy, current, most, inheritance = source
        assert task == source_task == TASK and not mask and flags == 1 and copy and inheritance == 1
        made = self._real.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, MAP_PRIVATE_ANYWHERE, -1, 0)
        ctypes.memmove(made, address, size)
        self.mapped += 1
        target._obj.value, current._obj.value, most._obj.value = made, 3, 7
        return 0

    # -- os ------------------------------------------------------------------------------------------------

    def ftruncate(self, descriptor: int, size: int) -> None:
        status = os.fstat(descriptor)
        if status.st_size:
            raise OSError(22, "Invalid argument")
        os.ftruncate(descriptor, -(-size // PAGE) * PAGE)

    def pwrite(self, *arguments: Any) -> None:
        raise OSError(45, "Operation not supported")

    write = pwrite

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def install(darwin: FakeDarwin) -> None:
    """Make `_macos` use it. The caller puts things back."""
    _posix.library = lambda: darwin  # type: ignore[assignment]
    _posix.os = _macos.os = darwin  # type: ignore[assignment]
    _posix.PAGE_BYTES = _macos.PAGE_BYTES = PAGE
    _macos._remap = lambda: darwin.mach_vm_remap
    _macos._task = lambda: TASK
