"""`logs`: what a build or a worker wrote, and with -f what it writes."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from comfy_env_core.cli import log_file
from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FINE, NOT_FOUND, USAGE, CommandError
from comfy_env_core.cli.targets import TARGET_HELP, environment_named, sites_named

_POLL_S = 0.25


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="PACK|ENV", help=TARGET_HELP)
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on with what is written from now on, until Ctrl+C"
    )
    parser.add_argument(
        "-n", "--lines", type=int, default=200, metavar="N", help="the last N lines (default: 200)"
    )
    parser.add_argument(
        "--worker",
        action="store_true",
        help="what the pack's nodes wrote, instead of the build of their environment",
    )


def run(options: argparse.Namespace, context: Context) -> int:
    path = _worker_log(context, options.target) if options.worker else _build_log(context, options.target)
    if options.follow:
        for line in log_file.follow(path, options.lines, lambda: time.sleep(_POLL_S)):
            print(line, flush=True)
    try:
        lines = log_file.last_lines(path, options.lines)
    except OSError as error:
        raise CommandError(
            f"There is no log {str(path)!r} yet ({error.strerror}). With -f it is waited for.", NOT_FOUND
        ) from error
    for line in lines:
        context.say(line)
    return FINE


def _build_log(context: Context, name: str) -> Path:
    return environment_named(context, name)[0].log_path


def _worker_log(context: Context, name: str) -> Path:
    """Each site has one, whatever environment it runs in."""
    sites = sites_named(context.scan, [name])
    if len(sites) > 1:
        listed = "".join(f"\n  {site.id}" for site in sites)
        raise CommandError(f"{name!r} has several workers. Name one of its sites:{listed}", USAGE)
    manager = context.assessed
    return manager.workers.log_path(manager.sites[sites[0].id])


COMMAND = Command(
    name="logs",
    summary="Show the log of an environment's build, or of a pack's nodes",
    configure=configure,
    run=run,
    examples=(
        Example("ComfyUI-GeometryPack", "the log of the last build"),
        Example(
            "-f ComfyUI-GeometryPack", "follows the build that runs now in ComfyUI, and the next one after it"
        ),
        Example("--worker -n 50 ComfyUI-GeometryPack", "the last 50 lines that its nodes wrote"),
        Example("a0817083", "by the id of the environment"),
    ),
    details="The logs of the two builds before are kept beside it as install.log.1 and install.log.2.",
)
