"""The few calls of NVIDIA's driver that pass GPU memory between processes.

The driver and not the runtime: its library is a part of the system with names and structures that stay, while the
runtime comes in as many files as there are torches. Both work on the same context, the device's primary one. Every call
is made while torch has made a device current. Source: CUDA Driver API, "Device Management", "Memory Management".
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any, NamedTuple

HANDLE_BYTES = 64  # CU_IPC_HANDLE_SIZE
UUID_BYTES = 16
LAZY_ENABLE_PEER_ACCESS = 1


class CudaError(Exception):
    """The driver refused, or is not there."""


class Exported(NamedTuple):
    """Device memory as another process finds it: a handle of the whole allocation, and the first byte in it."""

    handle: bytes
    offset: int


class IpcHandle(ctypes.Structure):
    """CUipcMemHandle."""

    _fields_ = [("reserved", ctypes.c_ubyte * HANDLE_BYTES)]


class CudaDriver:
    """`library` has the driver's functions. Raises CudaError throughout."""

    # Any: a library of foreign functions.
    def __init__(self, library: Any) -> None:
        self._library = library
        _declare(library)

    @classmethod
    def load(cls) -> CudaDriver:
        """The one torch uses."""
        name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
        try:
            return cls(ctypes.CDLL(name))
        except (OSError, AttributeError) as error:
            raise CudaError(f"{name} cannot be used: {error}") from error

    def identify(self, index: int) -> bytes:
        """What every process calls the device that is number `index` here, whatever CUDA_VISIBLE_DEVICES says."""
        device, identity = ctypes.c_int(), (ctypes.c_ubyte * UUID_BYTES)()
        self._call("cuDeviceGet", ctypes.byref(device), index)
        self._call("cuDeviceGetUuid_v2", ctypes.byref(identity), device)
        return bytes(identity)

    def export(self, address: int) -> Exported:
        """How another process can open this memory. Refused for what torch's expandable segments and CUDA's own pool
        (cudaMallocAsync) allocate, and on Windows outside of TCC mode."""
        base, _ = self.find(address)
        handle = IpcHandle()
        self._call("cuIpcGetMemHandle", ctypes.byref(handle), base)
        return Exported(bytes(handle.reserved), address - base)

    def find(self, address: int) -> tuple[int, int]:
        """(address, size in bytes) of the allocation that this is in."""
        base, size = ctypes.c_uint64(), ctypes.c_size_t()
        self._call("cuMemGetAddressRange_v2", ctypes.byref(base), ctypes.byref(size), address)
        return base.value, size.value

    def open(self, handle: bytes) -> int:
        """The address of another process's allocation. No handle can be open twice; `close` it."""
        address = ctypes.c_uint64()
        structure = IpcHandle.from_buffer_copy(handle)
        self._call("cuIpcOpenMemHandle_v2", ctypes.byref(address), structure, LAZY_ENABLE_PEER_ACCESS)
        return address.value

    def close(self, address: int) -> None:
        """Unmap what `open` gave."""
        self._call("cuIpcCloseMemHandle", address)

    def _call(self, name: str, *arguments: Any) -> None:
        result = getattr(self._library, name)(*arguments)
        if result:
            text = ctypes.c_char_p()
            self._library.cuGetErrorName(result, ctypes.byref(text))
            raise CudaError(f"{name} failed: {(text.value or b'error').decode()} ({result})")


def _declare(library: Any) -> None:
    pointer, number, address = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64
    library.cuDeviceGet.argtypes = [pointer, number]
    library.cuDeviceGetUuid_v2.argtypes = [pointer, number]
    library.cuMemGetAddressRange_v2.argtypes = [pointer, pointer, address]
    library.cuIpcGetMemHandle.argtypes = [pointer, address]
    library.cuIpcOpenMemHandle_v2.argtypes = [pointer, IpcHandle, ctypes.c_uint]
    library.cuIpcCloseMemHandle.argtypes = [address]
    library.cuGetErrorName.argtypes = [number, pointer]
