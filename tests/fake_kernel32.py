"""kernel32's section calls on Linux: the same arguments, results and error numbers, names shared between processes.

Sections are files in a directory; a name lives as long as a handle to it is open in a living process, whatever is
mapped. `install` puts it into `_windows`.
"""

from __future__ import annotations

import ctypes
import fcntl
import itertools
import mmap
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from comfy_env_core.wire.segments import _posix, _windows

PAGE = mmap.PAGESIZE
FILE_MAP_COPY, FILE_MAP_WRITE, FILE_MAP_READ = 1, 2, 4
PAGE_READWRITE, PAGE_WRITECOPY = 4, 8
NOT_FOUND, ACCESS_DENIED, INVALID_HANDLE, NOT_ENOUGH_MEMORY = 2, 5, 6, 8
INVALID_PARAMETER, ALREADY_EXISTS, INVALID_ADDRESS, COMMITMENT_LIMIT = 87, 183, 487, 1455


class FakeKernel32:
    """One process's view of it. `tells_writes` False is a system whose VirtualQuery knows nothing of copied pages."""

    def __init__(self, directory: Path, *, tells_writes: bool = True) -> None:
        self.directory = directory
        self.tells_writes = tells_writes
        self.commit_limit_bytes = 1 << 40
        self.views: dict[int, tuple[int, bool]] = {}  # address -> (size in pages, whether private)
        self.handles: dict[int, Path] = {}
        self._numbers = itertools.count(0x1F4, 4)
        self._error = threading.local()

    # -- the calls -----------------------------------------------------------------------------------------

    def CreateFileMappingW(
        self, file: int, attributes: None, protect: int, high: int, low: int, name: str
    ) -> int | None:
        assert file == ctypes.c_void_p(-1).value and attributes is None and protect == PAGE_READWRITE
        assert 0 <= high < 1 << 32 and 0 <= low < 1 << 32
        size = high << 32 | low
        if not size:
            return self._fail(INVALID_PARAMETER)
        if size > self.commit_limit_bytes:
            return self._fail(COMMITMENT_LIMIT)
        with self._locked():
            section = self._find(name)
            exists = section.exists()
            if not exists:
                (section / "handles").mkdir(parents=True)
                with open(section / "memory", "wb") as memory:
                    memory.truncate(size)
            handle = self._open(section)
        self._error.number = ALREADY_EXISTS if exists else 0
        return handle

    def OpenFileMappingW(self, access: int, inherit: bool, name: str) -> int | None:
        assert access == FILE_MAP_WRITE | FILE_MAP_READ and not inherit
        with self._locked():
            section = self._find(name)
            return self._open(section) if section.exists() else self._fail(NOT_FOUND)

    def CloseHandle(self, handle: int) -> int:
        section = self.handles.pop(handle, None)
        if section is None:
            self._fail(INVALID_HANDLE)
            return 0
        with self._locked():
            (section / "handles" / f"{os.getpid()}-{int(handle)}").unlink()
            self._find_and_forget(section)
        return 1

    def MapViewOfFile(self, handle: int, access: int, high: int, low: int, size: int) -> int | None:
        assert access in (FILE_MAP_COPY, FILE_MAP_WRITE) and not high and not low
        section = self.handles.get(handle)
        if section is None:
            return self._fail(INVALID_HANDLE)
        with open(section / "memory", "r+b") as memory:
            there = os.fstat(memory.fileno()).st_size
            if size > -(-there // PAGE) * PAGE:
                return self._fail(ACCESS_DENIED)
            size = size or there
            address = _posix.map_memory(memory.fileno(), size, access == FILE_MAP_COPY)
        self.views[address] = (-(-size // PAGE) * PAGE, access == FILE_MAP_COPY)
        return address

    def UnmapViewOfFile(self, address: int) -> int:
        view = self.views.pop(address, None)
        if view is None:
            self._fail(INVALID_ADDRESS)
            return 0
        _posix.unmap(address, view[0])
        return 1

    def VirtualQuery(self, address: int, reference: Any, length: int) -> int:
        information = reference._obj
        assert length == ctypes.sizeof(information) == 48
        base = address // PAGE * PAGE
        found = [start for start, view in self.views.items() if start <= base < start + view[0]]
        assert found, f"{address:#x} is not in a view: another module's memory was asked about"
        start = found[0]
        size, private = self.views[start]
        kinds = self._protections(base, start + size, private)
        information.BaseAddress, information.AllocationBase = base, start
        information.RegionSize = (
            next((n for n, kind in enumerate(kinds) if kind != kinds[0]), len(kinds)) * PAGE
        )
        information.State, information.Type = 0x1000, 0x40000  # MEM_COMMIT, MEM_MAPPED, copied or not
        information.Protect = kinds[0]
        information.AllocationProtect = PAGE_WRITECOPY if private else PAGE_READWRITE
        return ctypes.sizeof(information)

    # -- what is behind them -------------------------------------------------------------------------------

    def last_error(self) -> int:
        return getattr(self._error, "number", 0)

    def _fail(self, number: int) -> None:
        self._error.number = number

    def _protections(self, start: int, end: int, private: bool) -> list[int]:
        """Of each page. A page that was copied is read/write."""
        if not private or not self.tells_writes:
            return [PAGE_WRITECOPY if private else PAGE_READWRITE] * ((end - start) // PAGE)
        with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
            entries = memoryview(
                os.pread(pagemap.fileno(), (end - start) // PAGE * 8, start // PAGE * 8)
            ).cast("Q")
        there, of_file = 3 << 62, 1 << 61
        return [PAGE_READWRITE if e & there and not e & of_file else PAGE_WRITECOPY for e in entries]

    def _open(self, section: Path) -> int:
        handle = next(self._numbers)
        (section / "handles" / f"{os.getpid()}-{handle}").touch()
        self.handles[handle] = section
        return handle

    def _find(self, name: str) -> Path:
        assert name.startswith("Local\\") and "\\" not in name[6:] and len(name) < 260
        return self._find_and_forget(self.directory / name[6:])

    def _find_and_forget(self, section: Path) -> Path:
        """The system closes the handles of a process that ended, and a section goes with its last handle."""
        if section.exists():
            for handle in list((section / "handles").iterdir()):
                if not Path(f"/proc/{handle.name.partition('-')[0]}").exists():
                    handle.unlink()
            if not any((section / "handles").iterdir()):
                shutil.rmtree(section)
        return section

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self.directory / ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def install(kernel: FakeKernel32) -> None:
    """Make `_windows` use it. The caller puts things back (see `other_system`)."""
    _windows._tells_writes.cache_clear()
    _windows.kernel = lambda: kernel  # type: ignore[assignment]
    _windows.last_error = kernel.last_error


def use_system(module: Any) -> None:
    """Make every module of the wire that has imported the system's memory calls use this one's."""
    for name, loaded in list(sys.modules.items()):
        if (
            name.startswith("comfy_env_core.wire")
            and "system" in vars(loaded)
            and hasattr(loaded.system, "map_memory")
        ):
            loaded.system = module  # type: ignore[attr-defined]
