"""Linux: which pages of this process were written.

Two questions. Has a private mapping of a segment pages of its own, so that it would show old bytes when the segment is
filled again? And has ordinary memory been written since its bytes were last copied, so that they need not be copied
again? Both are answered by the kernel's page tables: read, in about a millisecond for 128 MB; of memory that is
watched, in 20 microseconds. Sources: Linux Documentation/admin-guide/mm/pagemap.rst and userfaultfd.rst,
include/uapi/linux/fs.h and userfaultfd.h.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfy_env_core.wire.segments.kept import WriteWatch

PAGE = os.sysconf("SC_PAGE_SIZE")

# struct pm_scan_arg: size, flags, start, end, walk_end, vec, vec_len, max_pages, and four masks of categories
SCAN = struct.Struct("<12Q")
PAGEMAP_SCAN = 0xC0606610  # _IOWR('f', 16, struct pm_scan_arg); Linux 6.7
WRITTEN, FILE, PRESENT, SWAPPED = 1 << 1, 1 << 2, 1 << 3, 1 << 4
CHECK_WATCHED = 1 << 1  # PM_SCAN_CHECK_WPASYNC: an error instead of a guess if the range is not watched

# Bits of an entry in /proc/self/pagemap, of its highest byte
HIGH_FILE, HIGH_SWAPPED, HIGH_PRESENT = 0x20, 0x40, 0x80
_OWN_PAGE_BYTES = bytes(
    high for high in range(256) if high & (HIGH_PRESENT | HIGH_SWAPPED) and not high & HIGH_FILE
)
_OTHER_BYTES = bytes(high for high in range(256) if high not in _OWN_PAGE_BYTES)

USERFAULTFD = {"x86_64": 323, "aarch64": 282}  # system call numbers
USER_MODE_ONLY = 1  # needs no privilege; we never handle a fault ourselves
API_VERSION = 0xAA
UFFDIO_API, UFFDIO_REGISTER, UFFDIO_UNREGISTER, UFFDIO_WRITEPROTECT = (
    0xC018AA3F,
    0xC020AA00,
    0x8010AA01,
    0xC018AA06,
)
WRITE_PROTECT_FAULTS, UNPOPULATED_TOO, RESOLVED_BY_KERNEL = 1 << 0, 1 << 13, 1 << 15
MODE_WRITE_PROTECT = 2
PROTECT = 1


def has_own_pages(address: int, size_bytes: int) -> bool:
    """Whether a private file mapping was written in this range. True if the kernel does not say."""
    start, end = _page_range(address, size_bytes)
    try:
        with contextlib.closing(_Pagemap()) as pagemap:
            try:
                return pagemap.any_page(start, end, wanted=PRESENT | SWAPPED, unwanted=FILE)
            except OSError:
                return pagemap.any_own_page(start, end)
    except OSError:  # /proc is not there, or not ours to read
        return True


def open_watch() -> WriteWatch | None:
    """A watch over this process's memory, or None where the kernel has none (before Linux 6.7) or forbids it."""
    number = USERFAULTFD.get(os.uname().machine)
    if number is None:
        return None
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = int(library.syscall(number, os.O_CLOEXEC | os.O_NONBLOCK | USER_MODE_ONLY))
    if descriptor < 0:
        return None
    features = WRITE_PROTECT_FAULTS | UNPOPULATED_TOO | RESOLVED_BY_KERNEL
    try:
        fcntl.ioctl(descriptor, UFFDIO_API, bytearray(struct.pack("<QQQ", API_VERSION, features, 0)))
        pagemap = _Pagemap()
    except OSError:
        os.close(descriptor)
        return None
    return _PageTableWatch(descriptor, pagemap)


class _PageTableWatch:
    """Write-protects the pages; the kernel lifts that by itself at the first write and remembers it.

    A write through a device that pinned the pages before (CUDA's pinned memory) is not seen: callers leave such memory
    out.
    """

    def __init__(self, descriptor: int, pagemap: _Pagemap) -> None:
        # A forked child must use neither: they would speak of the parent.
        self._descriptor = descriptor
        self._pagemap = pagemap

    def begin(self, address: int, size_bytes: int) -> bool:
        register = bytearray(struct.pack("<QQQQ", address, size_bytes, MODE_WRITE_PROTECT, 0))
        try:
            fcntl.ioctl(self._descriptor, UFFDIO_REGISTER, register)
            fcntl.ioctl(
                self._descriptor,
                UFFDIO_WRITEPROTECT,
                bytearray(struct.pack("<QQQ", address, size_bytes, PROTECT)),
            )
        except OSError:
            self.end(address, size_bytes)
            return False
        return True

    def was_written(self, address: int, size_bytes: int) -> bool:
        try:
            return self._pagemap.any_page(address, address + size_bytes, wanted=WRITTEN, flags=CHECK_WATCHED)
        except OSError:
            return True

    def is_shared(self, address: int, size_bytes: int) -> bool:
        try:
            return self._pagemap.any_page(address, address + size_bytes, wanted=FILE)
        except OSError:
            return True

    def end(self, address: int, size_bytes: int) -> None:
        try:
            fcntl.ioctl(
                self._descriptor, UFFDIO_UNREGISTER, bytearray(struct.pack("<QQ", address, size_bytes))
            )
        except OSError:
            return  # unmapped meanwhile: nothing is left to watch

    def __del__(self) -> None:
        os.close(self._descriptor)
        self._pagemap.close()


class _Pagemap:
    """/proc/self/pagemap: the page tables of the process that opened it."""

    def __init__(self) -> None:
        """Raises OSError where there is none, or it is not ours to read."""
        self._descriptor = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Nothing more is asked."""
        os.close(self._descriptor)

    def any_page(self, start: int, end: int, *, wanted: int, unwanted: int = 0, flags: int = 0) -> bool:
        """Whether a page is in one of the `wanted` categories and none of the `unwanted`. Raises OSError before 6.7."""
        found = (ctypes.c_uint64 * 3)()
        vector, length, one_is_enough = ctypes.addressof(found), 1, 1
        argument = SCAN.pack(
            SCAN.size,
            flags,
            start,
            end,
            0,
            vector,
            length,
            one_is_enough,
            unwanted,
            unwanted,
            wanted,
            wanted,
        )
        return int(fcntl.ioctl(self._descriptor, PAGEMAP_SCAN, bytearray(argument))) > 0

    def any_own_page(self, start: int, end: int) -> bool:
        """The same question by reading the entries, 8 bytes a page: about a millisecond for 128 MB."""
        entries = os.pread(self._descriptor, (end - start) // PAGE * 8, start // PAGE * 8)
        return bool(entries[7::8].translate(None, _OTHER_BYTES))


def _page_range(address: int, size_bytes: int) -> tuple[int, int]:
    """(start, end) of the pages that these bytes touch."""
    return address & -PAGE, (address + size_bytes + PAGE - 1) & -PAGE
