"""What ComfyUI's own interpreter has installed, found without importing any of it (torch takes seconds)."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from comfy_env_core.building.accelerators import OtherAccelerator, find_accelerators
from comfy_env_core.building.cuda import Cuda
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.requirements import normalised_name


@dataclasses.dataclass(frozen=True)
class HostPython:
    """- `version`: "3.11". `executable`, and `base_executable`: the interpreter behind a virtual environment.
    - `torch_version`: with its local tag ("2.13.0+cpu"), None when ComfyUI's Python has no torch.
    - `distributions`: normalised name → version of everything installed.
    - `cuda`: the CUDA generation that this machine should run, None without an NVIDIA GPU.
    - `other_accelerator`: the GPU of another maker that torch computes with. `gpu_notes`: what people should know of
      hardware that was found and cannot be used.
    """

    version: str
    executable: Path
    base_executable: Path
    torch_version: str | None
    distributions: Mapping[str, str]
    cuda: Cuda | None = None
    other_accelerator: OtherAccelerator | None = None
    gpu_notes: tuple[str, ...] = ()

    @classmethod
    def current(cls, environ: Mapping[str, str] = os.environ) -> HostPython:
        """The running interpreter. Raises `BuildError(CONFIG)` for a COMFY_ENV_CUDA_VERSION that is none."""
        distributions = _installed()
        found = find_accelerators(environ, Platform.current(), distributions)
        return cls(
            version=f"{sys.version_info.major}.{sys.version_info.minor}",
            executable=Path(sys.executable),
            # An interpreter embedded in a program may know no base of its own.
            base_executable=Path(getattr(sys, "_base_executable", "") or sys.executable),
            torch_version=distributions.get("torch"),
            distributions=distributions,
            cuda=found.cuda,
            other_accelerator=found.other,
            gpu_notes=found.notes,
        )

    @property
    def torch_release(self) -> str | None:
        """The version without its local tag: "2.13.0"."""
        return self.torch_version.partition("+")[0] if self.torch_version else None


def _installed() -> dict[str, str]:
    """The first find wins, as in an import: `sys.path` is searched in order."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        # A half-removed distribution leaves a metadata directory without a METADATA file; such a one has no name.
        name = distribution.metadata["Name"] if distribution.metadata else None
        if name:
            found.setdefault(normalised_name(name), distribution.version)
    return found
