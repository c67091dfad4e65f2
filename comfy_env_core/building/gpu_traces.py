"""What graphics cards and their drivers leave on disk: read in a millisecond, without a process or a library of theirs.

Sources: the kernel's "Accessing PCI device resources through sysfs", the PCI ID list (vendors, class 03 = display),
NVIDIA's driver README ("/proc/driver/nvidia") and container toolkit, ROCm's install guide ("/opt/rocm/.info/version").
"""

from __future__ import annotations

import dataclasses
import enum
import os
import re
from pathlib import Path

#: Below this everything is looked for; tests have one of their own.
_ROOT = Path(os.environ.get("SYSTEMROOT", "C:/Windows")) if os.name == "nt" else Path("/")

#: A loaded NVIDIA driver: on Linux, in containers (some hide /proc/driver), on Jetson, in WSL 2, on Windows.
_NVIDIA_DRIVER = (
    "proc/driver/nvidia/version",
    "dev/nvidiactl",
    "dev/nvhost-gpu",
    "usr/lib/wsl/lib/libcuda.so.1",
    "System32/nvcuda.dll",
)
_ROCM_VERSION = "opt/rocm/.info/version"
_PCI_DEVICES = "sys/bus/pci/devices"
_DISPLAY_CLASS = "0x03"
#: Microsoft's virtual GPU (WSL 2): whose card is behind it, the bus does not say.
_PARAVIRTUAL = "0x1414"


class Maker(enum.Enum):
    """The value is the maker's PCI vendor id as sysfs writes it."""

    NVIDIA = "0x10de"
    AMD = "0x1002"
    INTEL = "0x8086"


@dataclasses.dataclass(frozen=True)
class GpuTraces:
    """- `makers` of the display devices on the PCI bus; None where no bus can be read (Windows, WSL 2, some sandboxes).
    - `nvidia_driver`: whether a driver of NVIDIA's is loaded.
    - `rocm`: the ROCm that is installed ("6.4"), None without one.
    """

    makers: frozenset[Maker] | None = None
    nvidia_driver: bool = False
    rocm: str | None = None

    def may_have(self, maker: Maker) -> bool:
        """False only where the bus was read and no such device is on it."""
        return self.makers is None or maker in self.makers

    def has(self, maker: Maker) -> bool:
        return self.makers is not None and maker in self.makers


def find_gpu_traces(root: Path = _ROOT) -> GpuTraces:
    return GpuTraces(
        makers=_makers_on_the_bus(root / _PCI_DEVICES),
        nvidia_driver=any(os.path.exists(root / place) for place in _NVIDIA_DRIVER),
        rocm=_rocm_version(root),
    )


def driver_key(root: Path = _ROOT) -> str:
    """Changes when a driver is installed, removed or updated. A few `stat`s: this is asked at every start."""
    present = [place for place in _NVIDIA_DRIVER if os.path.exists(root / place)]
    return "\n".join([*present, _text(root / _NVIDIA_DRIVER[0]), _text(root / _ROCM_VERSION)])


def _makers_on_the_bus(bus: Path) -> frozenset[Maker] | None:
    try:
        devices = tuple(bus.iterdir())
    except OSError:
        return None
    # Intel's and AMD's host bridges are on every board: only a display device counts.
    displays = [device for device in devices if _text(device / "class").startswith(_DISPLAY_CLASS)]
    vendors = {_text(device / "vendor").strip() for device in displays}
    if not devices or _PARAVIRTUAL in vendors:
        return None
    return frozenset(maker for maker in Maker if maker.value in vendors)


def _rocm_version(root: Path) -> str | None:
    found = re.match(r"(\d+)\.(\d+)", _text(root / _ROCM_VERSION))
    return f"{found[1]}.{found[2]}" if found else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # not there, or hidden by a sandbox: no trace
