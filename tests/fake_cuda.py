"""NVIDIA's driver and torch's device functions without a GPU: device memory is shared memory of the processor.

`FakeDriverLibrary` has the driver's functions with their structures, results and refusals, `FakeTorch` is torch with
tensors that say they are on a device and whose memory is the library's. Two of a kind are two processes.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from collections.abc import Iterator
from typing import Any

import torch

from comfy_env_core.wire.segments._posix import library

INVALID_VALUE, INVALID_DEVICE, ALREADY_MAPPED, NOT_FOUND, NOT_SUPPORTED = 1, 101, 208, 500, 801
NAMES = {1: b"CUDA_ERROR_INVALID_VALUE", 208: b"CUDA_ERROR_ALREADY_MAPPED", 801: b"CUDA_ERROR_NOT_SUPPORTED"}
DEVICE = torch.device("cuda", 0)


class FakeDevice:
    """The memory that all processes see: handle -> descriptor of it."""

    def __init__(self) -> None:
        self.uuid = os.urandom(16)
        self.exported: dict[bytes, tuple[int, int]] = {}


class Function:
    """Called like a foreign function; takes `argtypes` and ignores them."""

    def __init__(self, call: Any) -> None:
        self.argtypes: Any = None
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        assert self.argtypes is not None and len(arguments) == len(self.argtypes)
        return self._call(*arguments)


class FakeDriverLibrary:
    """One process's libcuda. `uuids` are of the devices it sees. `corrupts` opens other memory than was exported."""

    def __init__(
        self, device: FakeDevice, uuids: list[bytes] | None = None, *, corrupts: bool = False
    ) -> None:
        self.device = device
        self.uuids = [device.uuid] if uuids is None else uuids
        self.corrupts = corrupts
        self.exportable = True
        self.allocations: dict[int, tuple[int, int]] = {}  # address -> (size, descriptor)
        self.opened: dict[int, tuple[int, bytes]] = {}
        self._memory: dict[int, mmap.mmap] = {}
        for name in ("cuDeviceGet", "cuDeviceGetUuid_v2", "cuMemGetAddressRange_v2", "cuIpcGetMemHandle"):
            setattr(self, name, Function(getattr(self, "_" + name)))
        for name in ("cuIpcOpenMemHandle_v2", "cuIpcCloseMemHandle", "cuGetErrorName"):
            setattr(self, name, Function(getattr(self, "_" + name)))

    def allocate(self, size_bytes: int) -> int:
        """The address of `size_bytes` in an allocation of their own, not at its beginning."""
        descriptor = os.memfd_create("fake-cuda")
        os.ftruncate(descriptor, size_bytes + 512)
        base = self._map(descriptor, size_bytes + 512)
        self.allocations[base] = (size_bytes + 512, descriptor)
        return base + 512

    def _map(self, descriptor: int, size_bytes: int) -> int:
        memory = mmap.mmap(descriptor, size_bytes)
        base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        self._memory[base] = memory
        return base

    def _cuDeviceGet(self, reference: Any, index: int) -> int:
        reference._obj.value = index + 70
        return 0 if index < len(self.uuids) else INVALID_DEVICE

    def _cuDeviceGetUuid_v2(self, reference: Any, device: Any) -> int:
        reference._obj[:] = self.uuids[device.value - 70]
        return 0

    def _cuMemGetAddressRange_v2(self, base: Any, size: Any, address: int) -> int:
        sizes = {start: entry[0] for start, entry in [*self.allocations.items(), *self.opened.items()]}
        for start, length in sizes.items():
            if start <= address < start + length:
                base._obj.value, size._obj.value = start, length
                return 0
        return NOT_FOUND

    def _cuIpcGetMemHandle(self, reference: Any, address: int) -> int:
        if not self.exportable:
            return NOT_SUPPORTED
        if address not in self.allocations:
            return INVALID_VALUE
        handle = b"\0" + os.getpid().to_bytes(8, "little") + address.to_bytes(8, "little") + bytes(47)
        self.device.exported[handle] = self.allocations[address]
        reference._obj.reserved[:] = handle
        return 0

    def _cuIpcOpenMemHandle_v2(self, reference: Any, structure: Any, flags: int) -> int:
        handle = bytes(structure.reserved)
        if flags != 1 or handle not in self.device.exported:
            return INVALID_VALUE
        if any(opened == handle for _, opened in self.opened.values()):
            return ALREADY_MAPPED
        size, descriptor = self.device.exported[handle]
        if self.corrupts:
            descriptor = os.memfd_create("wrong")
            os.ftruncate(descriptor, size)
        base = self._map(descriptor, size)
        self.opened[base] = (size, handle)
        reference._obj.value = base
        return 0

    def _cuIpcCloseMemHandle(self, address: int) -> int:
        size, _ = self.opened.pop(address)
        # What still looks there shall find other bytes; a real device may give anything, or an error.
        put_other_memory(address, size)
        return 0

    def _cuGetErrorName(self, result: int, reference: Any) -> int:
        reference._obj.value = NAMES.get(result, b"CUDA_ERROR_UNKNOWN")
        return 0


def put_other_memory(address: int, size_bytes: int) -> None:
    """Replace a mapping."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x10  # MAP_FIXED
    assert library().mmap(address, size_bytes, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0) == address
    ctypes.memset(address, 0xEE, size_bytes)


class HostTensor(torch.Tensor):
    """A tensor of the processor that can be put on the device."""

    def to(self, *arguments: Any, **options: Any) -> Any:
        return (
            DeviceTensor.of(self)
            if torch.device(arguments[0]) == DEVICE
            else super().to(*arguments, **options)
        )


class DeviceTensor(torch.Tensor):
    """A tensor that is on the device of whichever process `FakeTorch.acting` says is running."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return DEVICE

    @classmethod
    def of(cls, tensor: Any) -> Any:
        """A copy in new device memory, with the same strides if they are dense."""
        plain = tensor.as_subclass(torch.Tensor).detach().clone()
        size = plain.numel() * plain.element_size()
        address = FakeTorch.acting.library.allocate(max(size, 1))
        flat = torch.frombuffer((ctypes.c_ubyte * max(size, 1)).from_address(address), dtype=torch.uint8)
        made = flat[:size].view(plain.dtype).as_strided(plain.shape, plain.stride())
        return made.copy_(plain).as_subclass(cls)

    def clone(self, **options: Any) -> Any:
        return DeviceTensor.of(self)

    def cpu(self) -> Any:
        return self.as_subclass(torch.Tensor).clone().as_subclass(HostTensor)

    def to(self, *arguments: Any, **options: Any) -> Any:
        assert torch.device(arguments[0]) == DEVICE
        return self


class Stream:
    def synchronize(self) -> None:
        FakeTorch.acting.synchronised += 1


class Cuda:
    """torch.cuda"""

    def is_available(self) -> bool:
        return True

    is_initialized = is_available

    def device_count(self) -> int:
        return len(FakeTorch.acting.library.uuids)

    def current_stream(self, index: int) -> Stream:
        assert index == 0
        return Stream()

    @contextlib.contextmanager
    def device(self, index: int) -> Iterator[None]:
        assert index < self.device_count()
        yield


class FakeTorch:
    """torch of one process; the rest is the real one's."""

    acting: FakeTorch

    Tensor = DeviceTensor

    def __init__(self, library: FakeDriverLibrary) -> None:
        self.library = library
        self.synchronised = 0
        self.cuda = Cuda()

    def frombuffer(self, *arguments: Any, **options: Any) -> Any:
        return torch.frombuffer(*arguments, **options).as_subclass(HostTensor)

    def empty(self, *arguments: Any, **options: Any) -> Any:
        return torch.empty(*arguments, **options).as_subclass(HostTensor)

    def as_tensor(self, value: Any, device: str) -> Any:
        interface = value.__cuda_array_interface__
        assert torch.device(device) == DEVICE and interface["typestr"] == "|u1" and interface["version"] == 2
        memory = (ctypes.c_ubyte * interface["shape"][0]).from_address(interface["data"][0])
        return torch.frombuffer(memory, dtype=torch.uint8).as_subclass(DeviceTensor)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)
