"""Which CUDA generation the environments of this machine are built for, found without torch and without a GPU context.

Presence is read from the file system (a driver leaves traces there), because a warm start must not spawn anything.
`nvidia-smi` runs only when a driver is there and ComfyUI's torch does not say which CUDA it was built for.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.platform import Platform

#: Per combination of CUDA and torch, an index with wheels of packages that need both: `<base>/cu128/torch2.8/`.
DEFAULT_WHEELS_BASE = "https://comfy-forge.github.io/cuda-wheels"

#: What a driver leaves on Linux (also in a container), in WSL 2, and on Windows.
_DRIVER_TRACES = (
    Path("/proc/driver/nvidia/version"),
    Path("/usr/lib/wsl/lib/libcuda.so.1"),
    Path(os.environ.get("SYSTEMROOT", "C:/Windows")) / "System32" / "nvcuda.dll",
)

#: Compute capability below which CUDA 12.8 wheels of torch hold no code: Turing is 7.5.
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


def detect_cuda(
    environ: Mapping[str, str],
    platform: Platform,
    distributions: Mapping[str, str],
    *,
    traces: Sequence[Path] = _DRIVER_TRACES,
    ask_driver: Callable[[], str | None] | None = None,
) -> Cuda | None:
    """None when there is no NVIDIA GPU, or COMFY_ENV_CUDA_VERSION says "none".

    `distributions` are those of ComfyUI's Python, `ask_driver` returns the output of `nvidia-smi`. Raises
    `BuildError(CONFIG)` for a COMFY_ENV_CUDA_VERSION that is neither a version nor "none".
    """
    wanted = environ.get("COMFY_ENV_CUDA_VERSION", "").strip().lower()
    if wanted in ("none", "cpu"):
        return None
    if wanted:
        return Cuda(_version_of(wanted), "COMFY_ENV_CUDA_VERSION")
    if platform.is_macos or not any(trace.exists() for trace in traces):
        return None
    return _from_torch(distributions) or _from_driver(platform, (ask_driver or _nvidia_smi)())


def wheels_index(environ: Mapping[str, str], cuda_tag: str, torch_version: str) -> str:
    """The index for one combination; `COMFY_ENV_CUDA_WHEELS` names a mirror of the base."""
    base = environ.get("COMFY_ENV_CUDA_WHEELS") or DEFAULT_WHEELS_BASE
    major_minor = ".".join(torch_version.partition("+")[0].split(".")[:2])
    return f"{base.rstrip('/')}/{cuda_tag}/torch{major_minor}/"


def _version_of(text: str) -> str:
    """Accepts "12.8", "12.8.1" and "cu128"."""
    match = re.fullmatch(r"(\d{2})\.(\d)(?:\.\d+)?|cu(\d{2})(\d)", text)
    if match is None:
        raise BuildError(
            BuildCause.CONFIG,
            f"COMFY_ENV_CUDA_VERSION is {text!r}, which is no CUDA version.",
            'Set it to a version such as "12.8", to "none" for environments without CUDA, or remove it.',
        )
    return ".".join(part for part in match.groups() if part)


def _from_torch(distributions: Mapping[str, str]) -> Cuda | None:
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


def _from_driver(platform: Platform, output: str | None) -> Cuda | None:
    """The generation that the GPU and its driver both can run; None when the driver does not answer."""
    driver = re.search(r"CUDA (?:UMD )?Version\s*:\s*(\d+)\.(\d+)", output or "")
    if driver is None:
        return None
    capability = re.search(r"compute_cap=(\d+)\.(\d+)", output or "")
    if platform.name == "linux-aarch64":
        best = (13, 0)
    elif capability and (int(capability[1]), int(capability[2])) < _TURING:
        best = (12, 4)
    else:
        best = (12, 8)
    # A driver older than the wheels would refuse them; the same major version runs by minor-version compatibility.
    major = int(driver[1])
    chosen = best if major >= best[0] else (major, int(driver[2]))
    return Cuda(f"{chosen[0]}.{chosen[1]}", "nvidia-smi")


def _nvidia_smi() -> str | None:
    """The overview (it alone names the CUDA version), followed by "compute_cap=X.Y"; None when it does not run."""
    tool = shutil.which("nvidia-smi") or "/usr/lib/wsl/lib/nvidia-smi"
    try:
        overview = _output([tool])
        capability = _output([tool, "--query-gpu=compute_cap", "--format=csv,noheader"]).split()
    except (OSError, subprocess.SubprocessError):
        return (
            None  # no tool, a driver that does not match its library, or a GPU that hangs: as good as no GPU
        )
    return f"{overview}\ncompute_cap={capability[0] if capability else ''}"


def _output(argv: Sequence[str]) -> str:
    return subprocess.run(argv, capture_output=True, text=True, timeout=10, check=True).stdout
