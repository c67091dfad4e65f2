"""`generate`: the pixi.toml that a comfy-env.toml becomes, here or on another machine, each added line explained."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from comfy_env_core.building.engines.pixi import manifest_for
from comfy_env_core.building.engines.pixi_binary import PINNED_VERSION, PixiBinary, find_pixi
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.env_files import env_file, plan_of_file
from comfy_env_core.cli.exit_codes import FINE
from comfy_env_core.config import parse_env
from comfy_env_core.discovery import ROOT_FILE_NAME

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
    path = env_file(options.file)
    spec = parse_env(path.read_bytes(), path)
    for warning in spec.warnings:
        log.warning("%s", warning)
    if not spec.is_environment:
        log.warning(
            "%s speaks of its pack alone, so it isolates nothing: rename it to %s.", path, ROOT_FILE_NAME
        )
    plan = plan_of_file(spec, context, options.platform, options.cuda)
    if options.engine == "pixi":
        context.say(_for_pixi(plan, context).rstrip())
    else:
        context.say(plan.manifest().rstrip())
    return FINE


def _for_pixi(plan: BuildPlan, context: Context) -> str:
    """With no pixi on this machine, what the one that we would fetch gets."""
    binary = find_pixi(context.store, context.settings, log.debug) or PixiBinary(Path("pixi"), PINNED_VERSION)
    return manifest_for(binary, plan, context.settings)


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
