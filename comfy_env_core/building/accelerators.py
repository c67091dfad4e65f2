"""What torch computes with on this machine, found without importing torch.

Asked in this order: `COMFY_ENV_CUDA_VERSION`, the build of ComfyUI's torch (its metadata), the NVIDIA driver, and what
lies on disk of hardware and drivers. A build of torch counts only where such hardware may be: a CUDA build on a machine
without a GPU is two gigabytes for nothing.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping

from comfy_env_core.building.cuda import Cuda, cuda_of_driver, cuda_of_torch
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.gpu_traces import GpuTraces, Maker, find_gpu_traces
from comfy_env_core.building.nvidia_driver import NvidiaDriver, ask_driver
from comfy_env_core.building.platform import Platform

VARIABLE = "COMFY_ENV_CUDA_VERSION"

_DIRECTML = (
    "ComfyUI runs on DirectML (torch-directml). Environments get the CPU build of torch: torch-directml fits one "
    "version of torch only, and a file that lists it gets it."
)
_NO_DRIVER = (
    "An NVIDIA driver is installed, but it did not answer (nvidia-smi and NVML were asked). Restart the machine if the "
    f"driver was updated, or set {VARIABLE} (for instance 12.8)."
)
_NOT_LOADED = f"An NVIDIA GPU is on the PCI bus, but its driver is not loaded: install it, or set {VARIABLE}."
_NO_ROCM = "An AMD GPU is on the PCI bus, but no ROCm is installed under /opt/rocm."


@dataclasses.dataclass(frozen=True)
class OtherAccelerator:
    """A GPU of another maker. `tag` as in torch's own indexes: "rocm6.4" or "xpu"; `source`: where it was found."""

    tag: str
    source: str


@dataclasses.dataclass(frozen=True)
class Accelerators:
    """At most one of `cuda` and `other`; neither means the CPU. `notes`: what people should know of hardware that was
    found and cannot be used."""

    cuda: Cuda | None = None
    other: OtherAccelerator | None = None
    notes: tuple[str, ...] = ()


def find_accelerators(
    environ: Mapping[str, str],
    platform: Platform,
    distributions: Mapping[str, str],
    *,
    find_traces: Callable[[], GpuTraces] = find_gpu_traces,
    ask: Callable[[Mapping[str, str]], NvidiaDriver | None] = ask_driver,
) -> Accelerators:
    """`distributions` are those of ComfyUI's Python.

    Raises `BuildError(CONFIG)` for a COMFY_ENV_CUDA_VERSION that names nothing.
    """
    wanted = environ.get(VARIABLE, "").strip().lower()
    if wanted:
        return demanded_accelerators(wanted, VARIABLE)
    if platform.is_macos:
        return Accelerators()
    traces = find_traces()
    found = _of_torch(distributions, traces)
    if found is None:
        found = _of_machine(platform, traces, ask, environ)
    if found.cuda is None and found.other is None and "torch-directml" in distributions:
        return dataclasses.replace(found, notes=(*found.notes, _DIRECTML))
    return found


def demanded_accelerators(wanted: str, source: str) -> Accelerators:
    """What somebody asked for: "none", a CUDA version ("12.8", "12.8.1", "cu128"), "rocm6.4" or "xpu".

    `source` says where he did. Raises `BuildError(CONFIG)` for anything else.
    """
    if wanted in ("none", "cpu"):
        return Accelerators()
    if wanted == "xpu" or re.fullmatch(r"rocm\d+\.\d+(\.\d+)?", wanted):
        return Accelerators(other=OtherAccelerator(wanted, source))
    match = re.fullmatch(r"(\d{2})\.(\d)(?:\.\d+)?|cu(\d{2})(\d)", wanted)
    if match is None:
        raise BuildError(
            BuildCause.CONFIG,
            f"{source} is {wanted!r}, which is no CUDA version.",
            'Set it to a version such as "12.8", to "rocm6.4" or "xpu" for other GPUs, to "none" for environments '
            "that compute on the CPU, or remove it.",
        )
    return Accelerators(cuda=Cuda(".".join(part for part in match.groups() if part), source))


def _of_torch(distributions: Mapping[str, str], traces: GpuTraces) -> Accelerators | None:
    """What ComfyUI's torch was built for, if such hardware may be here; None to ask the machine."""
    build = distributions.get("torch", "").partition("+")[2]
    if build.startswith("rocm"):
        return _rocm_of_torch(build, traces)
    if build == "xpu":
        if traces.may_have(Maker.INTEL):
            return Accelerators(other=OtherAccelerator("xpu", "ComfyUI's torch"))
        return Accelerators(notes=("ComfyUI's torch is built for Intel GPUs, but none is on the PCI bus.",))
    if traces.nvidia_driver or traces.has(Maker.NVIDIA):
        cuda = cuda_of_torch(distributions)
        return Accelerators(cuda=cuda) if cuda is not None else None
    return None


def _rocm_of_torch(build: str, traces: GpuTraces) -> Accelerators:
    if not traces.may_have(Maker.AMD):
        return Accelerators(notes=("ComfyUI's torch is built for AMD GPUs, but none is on the PCI bus.",))
    if re.fullmatch(r"rocm\d+\.\d+(\.\d+)?", build):
        return Accelerators(other=OtherAccelerator(build, "ComfyUI's torch"))
    # AMD's own builds ("rocmsdk20251116", "rocm7.10.0a20251015") lie on indexes of AMD's, one per GPU family.
    note = (
        f"ComfyUI's torch is AMD's own build ({build}), which PyTorch's indexes do not have. Environments get the CPU "
        'build unless their file names AMD\'s index: torch = { version = "...", index = "https://..." }.'
    )
    return Accelerators(notes=(note,))


def _of_machine(
    platform: Platform,
    traces: GpuTraces,
    ask: Callable[[Mapping[str, str]], NvidiaDriver | None],
    environ: Mapping[str, str],
) -> Accelerators:
    if traces.nvidia_driver:
        driver = ask(environ)
        if driver is not None:
            return Accelerators(cuda=cuda_of_driver(platform, driver))
        return Accelerators(notes=(_NO_DRIVER,))
    if traces.has(Maker.NVIDIA):
        return Accelerators(notes=(_NOT_LOADED,))
    if traces.has(Maker.AMD):
        if traces.rocm is not None:
            return Accelerators(other=OtherAccelerator(f"rocm{traces.rocm}", "the ROCm under /opt/rocm"))
        return Accelerators(notes=(_NO_ROCM,))
    return Accelerators()
