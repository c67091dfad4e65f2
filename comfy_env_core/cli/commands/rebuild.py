"""`rebuild`: makes environments anew beside the ones that serve, which go on doing so until the new ones are done."""

from __future__ import annotations

import argparse

from comfy_env_core.cli import installing
from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.targets import PACK_HELP, sites_named


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("packs", metavar="PACK", nargs="+", help=PACK_HELP)


def run(options: argparse.Namespace, context: Context) -> int:
    """FAILED if one could not be built; what served before goes on serving then."""
    chosen = sites_named(context.scan, options.packs)
    return installing.rebuild(context.manager(), [site.id for site in chosen]).tell(context)


COMMAND = Command(
    name="rebuild",
    summary="Build environments anew, for instance to get newer versions of packages",
    configure=configure,
    run=run,
    examples=(
        Example("ComfyUI-GeometryPack", "resolves and installs again; roll-back undoes it"),
        Example("pack-a pack-b/nodes/mesh", "a whole pack, and one site of another"),
    ),
    details=(
        "The new build is made and verified beside the one that serves; only then the nodes move over. If it fails,\n"
        "nothing has changed. A running ComfyUI takes the new build at the next call of an idle node."
    ),
    speaks_json=True,
)
