"""What the NVIDIA driver says of itself, asked through nvidia-smi or NVML; no CUDA context, so no memory on the GPU.

nvidia-smi comes first because a process can be given up on: a GPU that has fallen off the bus holds NVML forever.
Source: NVML API reference (`nvmlSystemGetCudaDriverVersion_v2`: 1000 * major + 10 * minor).
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from comfy_env_core.processes import ask

Version = tuple[int, int]

_TIMEOUT_S = 10.0
_SMI_PLACES = ("/usr/lib/wsl/lib/nvidia-smi", "C:/Program Files/NVIDIA Corporation/NVSMI/nvidia-smi.exe")
_NVML_NAMES = (
    ("nvml.dll", "C:/Program Files/NVIDIA Corporation/NVSMI/nvml.dll")
    if sys.platform == "win32"
    else ("libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1")
)


@dataclasses.dataclass(frozen=True)
class NvidiaDriver:
    """`cuda`: the newest CUDA that the driver runs. `capability`: of the most capable GPU, the one CUDA offers first;
    None when it was not said. `source` for people."""

    cuda: Version
    capability: Version | None
    source: str


def ask_driver(environ: Mapping[str, str] = os.environ) -> NvidiaDriver | None:
    """None when no driver answers: none there, one that does not match its library, or a GPU that hangs."""
    return ask_nvidia_smi(environ) or ask_nvml()


def ask_nvidia_smi(environ: Mapping[str, str] = os.environ) -> NvidiaDriver | None:
    """Two calls: only the overview names the CUDA version, and only a query the capabilities (drivers from 510 on)."""
    tool = shutil.which("nvidia-smi", path=environ.get("PATH"))
    tool = tool or next((place for place in _SMI_PLACES if Path(place).is_file()), None)
    if tool is None:
        return None
    cuda = re.search(r"CUDA (?:UMD )?Version\s*:\s*(\d+)\.(\d+)", _output([tool]))
    if cuda is None:
        return None
    lines = _output([tool, "--query-gpu=compute_cap", "--format=csv,noheader"]).splitlines()
    capabilities = [re.fullmatch(r"(\d+)\.(\d+)", line.strip()) for line in lines]
    return NvidiaDriver(
        (int(cuda[1]), int(cuda[2])),
        max(((int(found[1]), int(found[2])) for found in capabilities if found), default=None),
        "nvidia-smi",
    )


def _output(argv: Sequence[str]) -> str:
    try:
        answer = ask(argv, timeout_s=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""  # as good as no driver; what was found instead stands in the plan's notes
    return answer.stdout.decode("utf-8", "replace") if answer.returncode == 0 else ""


def load_nvml() -> Any:  # Any: a ctypes library has whatever functions are asked of it
    """The driver's own library, None where there is none."""
    for name in _NVML_NAMES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def ask_nvml(load: Callable[[], Any] = load_nvml) -> NvidiaDriver | None:
    """For containers that have the library without the tool."""
    nvml = load()
    if nvml is None or nvml.nvmlInit_v2() != 0:
        return None
    try:
        version = ctypes.c_int()
        if nvml.nvmlSystemGetCudaDriverVersion_v2(ctypes.byref(version)) != 0:
            return None
        cuda = (version.value // 1000, version.value % 1000 // 10)
        return NvidiaDriver(cuda, max(_capabilities(nvml), default=None), "NVML")
    finally:
        nvml.nvmlShutdown()


def _capabilities(nvml: Any) -> Iterator[Version]:  # Any: see `load_nvml`
    count = ctypes.c_uint()
    if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        return
    for index in range(count.value):
        device, major, minor = ctypes.c_void_p(), ctypes.c_int(), ctypes.c_int()
        if nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(device)) != 0:
            continue  # a GPU that this container may not use
        places = (ctypes.byref(major), ctypes.byref(minor))
        if nvml.nvmlDeviceGetCudaComputeCapability(device, *places) == 0:
            yield major.value, minor.value
