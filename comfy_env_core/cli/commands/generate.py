"""`generate`: the pixi.toml that a comfy-env.toml becomes, here or on another machine, each added line explained."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

from comfy_env_core.assembly import find_comfyui
from comfy_env_core.building.elsewhere import machine_elsewhere, with_gpu
from comfy_env_core.building.engines.pixi import manifest_for
from comfy_env_core.building.engines.pixi_binary import PINNED_VERSION, PixiBinary, find_pixi
from comfy_env_core.building.host_packages import comfyui_requirements
from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.plan import BuildPlan, plan_build
from comfy_env_core.building.platform import Platform
from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FINE, NOT_FOUND, CommandError
from comfy_env_core.config import EnvSpec, HostNeed, parse_env
from comfy_env_core.discovery import ENV_FILE_NAME, ROOT_FILE_NAME, HostUse, host_use

_NOTHING_READ = HostUse(HostNeed.NONE, imports_torch=False, evidence=())

log = logging.getLogger("comfy-env")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="a comfy-env.toml, or the directory that holds one"
    )
    parser.add_argument(
        "--platform",
        metavar="P",
        help="linux-64, linux-aarch64, osx-64, osx-arm64 or win-64; default: this machine's",
    )
    parser.add_argument(
        "--cuda",
        metavar="TAG",
        help="a CUDA generation, as cu128 or 12.8; rocm6.4 or xpu for other GPUs; none for no GPU. "
        "Default: this machine's GPU, and none on another platform",
    )
    parser.add_argument(
        "--engine",
        choices=("pixi",),
        help="as the pixi of this machine would be given it, whose version and mirrors decide the spelling",
    )


def run(options: argparse.Namespace, context: Context) -> int:
    """The manifest goes to stdout, warnings to stderr. Raises ConfigError for a file that cannot be used."""
    path = _env_file(options.file)
    spec = parse_env(path.read_bytes(), path)
    for warning in spec.warnings:
        log.warning("%s", warning)
    if not spec.is_environment:
        log.warning(
            "%s speaks of its pack alone, so it isolates nothing: rename it to %s.", path, ROOT_FILE_NAME
        )
    plan = _plan(spec, path, options, context)
    if options.engine == "pixi":
        context.say(_for_pixi(plan, context).rstrip())
    else:
        context.say(plan.manifest().rstrip())
    return FINE


def _env_file(named: Path) -> Path:
    path = Path(os.path.abspath(named / ENV_FILE_NAME if named.is_dir() else named))
    if path.name == ROOT_FILE_NAME:
        raise CommandError(
            f"{str(path)!r} describes no environment: it says what a pack asks for outside of its environments. "
            f"Name a {ENV_FILE_NAME}."
        )
    if not path.is_file():
        raise CommandError(f"There is no file {str(path)!r}. Name a {ENV_FILE_NAME}.", NOT_FOUND)
    return path


def _for_pixi(plan: BuildPlan, context: Context) -> str:
    """With no pixi on this machine, what the one that we would fetch gets."""
    binary = find_pixi(context.store, context.settings, log.debug) or PixiBinary(Path("pixi"), PINNED_VERSION)
    return manifest_for(binary, plan, context.settings)


def _plan(spec: EnvSpec, path: Path, options: argparse.Namespace, context: Context) -> BuildPlan:
    platform, host = _machine(options.platform, options.cuda)
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


COMMAND = Command(
    name="generate",
    summary="Print the pixi.toml that a comfy-env.toml becomes, and why each added line is there",
    configure=configure,
    run=run,
    examples=(
        Example("custom_nodes/mesh/nodes/comfy-env.toml", "for this machine"),
        Example("comfy-env.toml --platform win-64 --cuda cu128", "for Windows with an NVIDIA GPU"),
        Example("comfy-env.toml --engine pixi > pixi.toml", "to try with one's own pixi"),
    ),
    details="Nothing is built and no network is used. What is odd in the file is told on stderr.",
)
