"""Windows: named sections of the page file.

A section cannot be put beside a frame, so it travels by its name: 128 random bits, in the namespace of the logon
session, with the default access of the user's own objects. The name is gone with the last handle, whatever is mapped;
so the sender's handle has to be open until the receiver has opened its own. It is: who sends a segment lends it, what
is lent keeps its handle (memory.py closes none that was passed on), and a lent segment comes back at the earliest when
the receiver, which opens the name as the frame arrives, lets go of it.

All of a section and of every private view of it counts towards the machine's commit limit from the start, touched or
not; in return nothing fails later. Sources: Microsoft's reference of CreateFileMappingW, MapViewOfFile, VirtualQuery
and "Memory Protection Constants".
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import re
import secrets
import sys
from typing import Any

NAMED = True
PAGE_BYTES = mmap.PAGESIZE

INVALID_HANDLE_VALUE = ctypes.c_void_p(-1).value
PAGE_READWRITE, PAGE_WRITECOPY = 0x04, 0x08
FILE_MAP_COPY, FILE_MAP_WRITE, FILE_MAP_READ = 0x1, 0x2, 0x4
ERROR_ALREADY_EXISTS = 183
REASONS = {
    2: "there is no such section (any more)",
    5: "access was denied, or the section is smaller",
    8: "there is not enough memory",
    ERROR_ALREADY_EXISTS: "the name is taken",
    1455: "memory and page file together are used up",
}

# The size is in the name, as a handle does not tell it. A false one does no harm: mapping more than there is fails.
_NAME = re.compile(r"Local\\comfy-env-([0-9a-f]{1,15})-[0-9a-f]{32}")


class SectionHandle(int):
    """A HANDLE with the name of what it is open on."""

    name: str

    def __new__(cls, handle: int, name: str) -> SectionHandle:
        self = super().__new__(cls, handle)
        self.name = name
        return self


class MemoryInformation(ctypes.Structure):
    """MEMORY_BASIC_INFORMATION of winnt.h. Not wintypes: its DWORD has 8 bytes on other systems."""

    _fields_ = [
        ("BaseAddress", ctypes.c_void_p),
        ("AllocationBase", ctypes.c_void_p),
        ("AllocationProtect", ctypes.c_uint32),
        ("RegionSize", ctypes.c_size_t),
        ("State", ctypes.c_uint32),
        ("Protect", ctypes.c_uint32),
        ("Type", ctypes.c_uint32),
    ]


def create(size_bytes: int) -> int:
    """A handle of fresh zeroed memory; the caller closes it. Raises OSError."""
    name = f"Local\\comfy-env-{size_bytes:x}-{secrets.token_hex(16)}"
    high, low = divmod(size_bytes, 1 << 32)
    handle = kernel().CreateFileMappingW(INVALID_HANDLE_VALUE, None, PAGE_READWRITE, high, low, name)
    if not handle:
        raise _failure(f"Creating a section of {size_bytes} bytes")
    if last_error() == ERROR_ALREADY_EXISTS:
        error = _failure(f"Creating the section {name!r}")
        close(handle)
        raise error
    return SectionHandle(handle, name)


def close(handle: int) -> None:
    """Close our handle; the memory lives as long as anybody maps it or has a handle."""
    kernel().CloseHandle(handle)


def name_of(handle: int) -> str:
    """What `open_named` finds it by, as long as a handle is open."""
    assert isinstance(handle, SectionHandle)
    return handle.name


def open_named(name: str) -> int:
    """A handle of the peer's section; the caller closes it. Raises OSError, or ValueError for another's name."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a segment")
    handle = kernel().OpenFileMappingW(FILE_MAP_WRITE | FILE_MAP_READ, False, name)
    if not handle:
        raise _failure(f"Opening the section {name!r}")
    return SectionHandle(handle, name)


def size_of(handle: int) -> int:
    """The segment's size in bytes, as its maker says; `map_memory` fails if there are fewer."""
    match = _NAME.fullmatch(name_of(handle))
    assert match is not None
    return int(match[1], 16)


def map_memory(handle: int, size_bytes: int, private: bool) -> int:
    """The address of a new writable view; `unmap` it. Raises OSError."""
    access = FILE_MAP_COPY if private else FILE_MAP_WRITE
    address = kernel().MapViewOfFile(handle, access, 0, 0, size_bytes)
    if not address:
        raise _failure(f"Mapping {size_bytes} bytes of shared memory")
    return int(address)


def unmap(address: int, size_bytes: int) -> None:
    """End a view."""
    kernel().UnmapViewOfFile(address)


def write(handle: int, offset: int, data: memoryview) -> None:
    """Copy bytes into the segment, through a view: nothing else reaches a section. Raises OSError."""
    address = map_memory(handle, offset + data.nbytes, False)
    try:
        memoryview((ctypes.c_ubyte * data.nbytes).from_address(address + offset)).cast("B")[:] = data
    finally:
        unmap(address, offset + data.nbytes)


def was_written(address: int, size_bytes: int) -> bool:
    """Whether a private view has pages of its own in this range. True if the system does not say.

    "The protection of the new page changes from copy-on-write to read/write" (MapViewOfFile, FILE_MAP_COPY), and
    VirtualQuery reports runs of pages of one protection. Not QueryWorkingSetEx, whose `Shared` bit the page of
    VirtualQuery recommends in place of the *type* of memory: it speaks of resident pages only, and has an entry a page.
    """
    return not _tells_writes() or _has_other_pages(address, size_bytes)


def forget_writes(address: int, size_bytes: int) -> bool:
    """A written page of a view stays the process's own until the view ends."""
    return False


def open_watch() -> None:
    """GetWriteWatch knows only memory that was allocated for it, which arrays are not in."""


@functools.lru_cache(maxsize=None)
def _tells_writes() -> bool:
    """Whether VirtualQuery does what its description says, tried once on two pages."""
    handle = create(2 * PAGE_BYTES)
    address = map_memory(handle, 2 * PAGE_BYTES, True)
    try:
        is_quiet = not _has_other_pages(address, 2 * PAGE_BYTES)
        ctypes.memset(address + PAGE_BYTES, 1, 1)
        is_exact = not _has_other_pages(address, PAGE_BYTES)
        return is_quiet and is_exact and _has_other_pages(address, 2 * PAGE_BYTES)
    finally:
        unmap(address, 2 * PAGE_BYTES)
        close(handle)


def _has_other_pages(address: int, size_bytes: int) -> bool:
    """Whether there are other than copy-on-write pages in this range."""
    information = MemoryInformation()
    end = address + size_bytes
    while address < end:
        if not kernel().VirtualQuery(address, ctypes.byref(information), ctypes.sizeof(information)):
            return True
        if information.Protect != PAGE_WRITECOPY:
            return True
        address = information.BaseAddress + information.RegionSize
    return False


def _failure(doing: str) -> OSError:
    """The error of the last call. Only Windows keeps its fourth argument, `winerror`."""
    number = last_error()
    return OSError(
        None, f"{doing} failed: {REASONS.get(number, 'see')} (Windows error {number})", None, number
    )


def last_error() -> int:
    """The number of the last call's error in this thread."""
    if sys.platform != "win32":
        raise OSError("Only Windows has numbers of errors besides errno")
    return ctypes.get_last_error()


# Any: a library of foreign functions.
@functools.lru_cache(maxsize=None)
def kernel() -> Any:
    """kernel32, with the calls used here declared."""
    if sys.platform != "win32":
        raise OSError("kernel32 is a library of Windows")
    library = ctypes.WinDLL("kernel32", use_last_error=True)
    pointer, number, flag, text = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_wchar_p
    library.CreateFileMappingW.restype = pointer
    library.CreateFileMappingW.argtypes = [pointer, pointer, number, number, number, text]
    library.OpenFileMappingW.restype = pointer
    library.OpenFileMappingW.argtypes = [number, flag, text]
    library.MapViewOfFile.restype = pointer
    library.MapViewOfFile.argtypes = [pointer, number, number, number, ctypes.c_size_t]
    library.UnmapViewOfFile.argtypes = [pointer]
    library.CloseHandle.argtypes = [pointer]
    library.VirtualQuery.restype = ctypes.c_size_t
    library.VirtualQuery.argtypes = [pointer, pointer, ctypes.c_size_t]
    return library
