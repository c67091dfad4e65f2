"""CUDA generations: which one ComfyUI's torch was built for, which one a driver runs best."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from comfy_env_core.building.nvidia_driver import NvidiaDriver
from comfy_env_core.building.platform import Platform

#: Compute capability below which CUDA 12.8 wheels of torch hold no code: Turing is 7.5. The 12.6 ones go on from 5.0
#: (PyTorch's RELEASE.md, "Release Compatibility Matrix").
_TURING = (7, 5)


@dataclasses.dataclass(frozen=True)
class Cuda:
    """`version` "12.8"; `source` says for people where it was found."""

    version: str
    source: str

    @property
    def tag(self) -> str:
        """As in wheel indexes: "cu128"."""
        return "cu" + self.version.replace(".", "")


def cuda_of_torch(distributions: Mapping[str, str]) -> Cuda | None:
    """From the local tag, or from the CUDA runtime that PyPI's torch (which has no tag) brings along."""
    match = re.search(r"\+cu(\d{2})(\d)$", distributions.get("torch", ""))
    if match:
        return Cuda(f"{match[1]}.{match[2]}", "ComfyUI's torch")
    if "torch" not in distributions:
        return None
    for name in ("nvidia-cuda-runtime", "nvidia-cuda-runtime-cu13", "nvidia-cuda-runtime-cu12"):
        runtime = re.match(r"(\d{2})\.(\d)", distributions.get(name, ""))
        if runtime:
            return Cuda(f"{runtime[1]}.{runtime[2]}", f"the {name} of ComfyUI's torch")
    return None


def cuda_of_driver(platform: Platform, driver: NvidiaDriver) -> Cuda:
    """The generation that the GPU and its driver both can run."""
    if platform.name == "linux-aarch64":
        best = (13, 0)  # the first whose ARM builds hold code for every current GPU there
    elif driver.capability is not None and driver.capability < _TURING:
        best = (12, 6)
    else:
        best = (12, 8)
    # A driver older than the wheels would refuse them; the same major version runs by minor-version compatibility.
    chosen = best if driver.cuda[0] >= best[0] else driver.cuda
    return Cuda(f"{chosen[0]}.{chosen[1]}", driver.source)
