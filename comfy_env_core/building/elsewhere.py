"""Another machine to plan for: what a file becomes on macOS, on Windows, or beside a GPU that is not here."""

from __future__ import annotations

import dataclasses

from comfy_env_core.building.accelerators import demanded_accelerators
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.platform import Platform, platform_named

#: What pixi assumes of a machine that it knows nothing of (0.77: glibc 2.28, macOS 13.0).
_GLIBC = "2.28"
_MACOS = "13.0"
#: The version that indexes of CUDA wheels have most packages for.
_TORCH = "2.8.0"


def machine_elsewhere(here: HostPython, name: str, gpu: str) -> tuple[Platform, HostPython]:
    """A machine of the platform `name` whose ComfyUI has the same Python and packages as the one here.

    `gpu`: a CUDA generation ("cu128", "12.8"), "rocm6.4", "xpu", or "none". Raises UnknownPlatform, and
    BuildError(CONFIG) for a `gpu` that is none of these or that no machine of the platform has.
    """
    platform = platform_named(name)
    if platform.is_linux:
        platform = dataclasses.replace(platform, glibc=_GLIBC)
    elif platform.is_macos:
        platform = dataclasses.replace(platform, macos=_MACOS)
    return platform, with_gpu(here, platform, gpu)


def with_gpu(host: HostPython, platform: Platform, gpu: str) -> HostPython:
    """The host as if it had this GPU, no other, and some torch. Raises as `machine_elsewhere`."""
    found = demanded_accelerators(gpu.strip().lower(), "the GPU to plan for")
    if platform.is_macos and (found.cuda or found.other):
        raise BuildError(
            BuildCause.CONFIG,
            f"Planning for {platform.name} with the GPU {gpu!r}: torch for macOS computes with Apple's GPUs only.",
            f"Leave {gpu!r} out, or choose a platform of Linux or Windows.",
        )
    changed = dataclasses.replace(host, cuda=found.cuda, other_accelerator=found.other, gpu_notes=())
    if changed.torch_version is not None:
        return changed
    note = f"torch: the Python here has none, so ComfyUI's is taken to be {_TORCH}."
    return dataclasses.replace(changed, torch_version=_TORCH, gpu_notes=(note,))
