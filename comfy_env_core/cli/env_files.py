"""A comfy-env.toml that is named by its path, wherever it lies, and what it becomes."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from comfy_env_core.assembly import find_comfyui
from comfy_env_core.building.elsewhere import machine_elsewhere, with_gpu
from comfy_env_core.building.host_packages import comfyui_requirements
from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.plan import BuildPlan, plan_build
from comfy_env_core.building.platform import Platform
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import NOT_FOUND, CommandError
from comfy_env_core.config import ConfigError, EnvSpec, HostNeed, parse_root
from comfy_env_core.discovery import ENV_FILE_NAME, ROOT_FILE_NAME, HostUse, host_use

log = logging.getLogger("comfy-env")

_NOTHING_READ = HostUse(HostNeed.NONE, imports_torch=False, evidence=())


def env_file(named: Path) -> Path:
    """The file that is named by its path or by its directory's.

    Raises CommandError for one that is not there, and ConfigError for a root file.
    """
    path = Path(os.path.abspath(named / ENV_FILE_NAME if named.is_dir() else named))
    if not path.is_file():
        raise CommandError(f"There is no file {str(path)!r}. Name a {ENV_FILE_NAME}.", NOT_FOUND)
    if path.name == ROOT_FILE_NAME:
        raise _no_environment(path)
    return path


def _no_environment(path: Path) -> ConfigError:
    """What is odd or wrong in a root file is told all the same."""
    for warning in parse_root(path.read_bytes(), path).warnings:
        log.warning("%s", warning)
    problem = "the file describes no environment: it says what a pack asks for outside of its environments"
    return ConfigError(path, None, 1, problem, f"Name a {ENV_FILE_NAME}")


def plan_of_file(spec: EnvSpec, context: Context, platform_name: str | None, gpu: str | None) -> BuildPlan:
    """What the file becomes here, or on another platform with this GPU ("cu128", "none"), without any lock.

    Raises BuildError(CONFIG), and UnknownPlatform.
    """
    path = spec.path
    platform, host = _machine(platform_name, gpu)
    is_isolating = path.name == ENV_FILE_NAME  # under another name it says nothing of the code around it
    source = host_use(path.parent, _nested(path), _pack(path)) if is_isolating else _NOTHING_READ
    return plan_build(
        spec,
        platform=platform,
        host=host,
        host_use=source,
        comfyui_requirements=comfyui_requirements(find_comfyui(path.parent)),
        settings=context.settings,
    )


def _machine(name: str | None, gpu: str | None) -> tuple[Platform, HostPython]:
    here, host = Platform.current(), HostPython.current()
    if name is not None and name != here.name:
        return machine_elsewhere(host, name, gpu or "none")
    return here, host if gpu is None else with_gpu(host, here, gpu)


def _pack(path: Path) -> Path:
    """The directory in custom_nodes that the file lies in, or its own."""
    directories = (path.parent, *path.parent.parents)
    return next((inner for inner in directories if inner.parent.name == "custom_nodes"), path.parent)


def _nested(path: Path) -> tuple[Path, ...]:
    """The isolated directories inside, whose source is not this environment's."""
    return tuple(inner.parent for inner in path.parent.rglob(ENV_FILE_NAME) if inner.parent != path.parent)
