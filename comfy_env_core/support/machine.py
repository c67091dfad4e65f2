"""The machine and the programs on it, as far as builds depend on them."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Mapping
from typing import Any

import comfy_env_core
from comfy_env_core.building.engines.engine_packages import engine_version
from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.nvidia_driver import ask_driver
from comfy_env_core.support.credentials import is_secret_name

_LIBRARIES = ("aiohttp", "filelock", "msgpack", "psutil", "tomli", "torch")
#: Variables whose values say how builds and workers behave. Of all others the name alone is told.
_TELLING = (
    "COMFY_ENV_",
    "PIP_",
    "UV_",
    "PIXI_",
    "CUDA_",
    "PYTORCH_",
    "HIP_",
    "HSA_",
    "ROCR_",
    "LC_",
    "PYTHON",
)
_TELLING_NAMES = frozenset({"LANG", "LANGUAGE", "TZ", "OS", "PROCESSOR_ARCHITECTURE", "CONDA_DEFAULT_ENV"})


def versions(comfyui_version: str | None, environ: Mapping[str, str]) -> Mapping[str, Any]:
    """Any: JSON. Asks the GPU's driver."""
    host, driver = HostPython.current(environ), ask_driver(environ)
    return {
        "comfy-env manager": comfy_env_core.__version__,
        "ComfyUI": comfyui_version,
        "Python": sys.version,
        "system": platform.platform(),
        "machine": platform.machine(),
        "encoding": sys.getfilesystemencoding(),
        "embedded engine": engine_version(),
        "GPU": {
            "environments are built for": _built_for(host),
            "driver": None if driver is None else f"CUDA {driver.cuda[0]}.{driver.cuda[1]} ({driver.source})",
            "notes": list(host.gpu_notes),
        },
        "libraries": {name: _version(name) for name in _LIBRARIES},
    }


def variables(environ: Mapping[str, str]) -> str:
    """One line each; values of those alone that are known to be of use."""
    lines = []
    for name in sorted(environ):
        is_telling = name.startswith(_TELLING) or name in _TELLING_NAMES
        if is_telling and not is_secret_name(name):
            lines.append(f"{name}={environ[name]}")
        else:
            lines.append(f"{name} is set")
    return "\n".join(lines) + "\n"


def _built_for(host: HostPython) -> str:
    if host.cuda is not None:
        return f"CUDA {host.cuda.version}, found in {host.cuda.source}"
    if host.other_accelerator is not None:
        return f"{host.other_accelerator.tag}, found in {host.other_accelerator.source}"
    return "the CPU"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
