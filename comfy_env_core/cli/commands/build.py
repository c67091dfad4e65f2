"""`build`: makes every environment that is missing, waits for it, and says what failed and why."""

from __future__ import annotations

import argparse
import logging

from comfy_env_core.cli import installing
from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.targets import PACK_HELP, sites_named

log = logging.getLogger("comfy-env")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("packs", metavar="PACK", nargs="*", help=f"{PACK_HELP}; default: all")
    parser.add_argument("--all", action="store_true", help="all packs, as without any name")


def run(options: argparse.Namespace, context: Context) -> int:
    """FAILED if something could not be built or its nodes could not be imported."""
    chosen = sites_named(context.scan, [] if options.all else options.packs)
    log.info("%d isolated; environments in %s", len(chosen), context.store.root)
    return installing.build(context.manager(), [site.id for site in chosen]).tell(context)


COMMAND = Command(
    name="build",
    summary="Build the environments that are missing",
    configure=configure,
    run=run,
    examples=(
        Example("", "builds whatever is missing; a second time it does nothing"),
        Example("ComfyUI-GeometryPack", "for one pack"),
        Example("--custom-nodes /opt/ComfyUI/custom_nodes --json", "in a Dockerfile or for a program"),
    ),
    details=(
        "Then imports the nodes once, as ComfyUI would, and waits until everything is ready or failed. Progress goes\n"
        "to stderr, the outcome to stdout. Ctrl+C stops all builds; nothing half-built is taken for ready."
    ),
    speaks_json=True,
)
