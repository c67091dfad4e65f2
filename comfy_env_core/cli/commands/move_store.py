"""`move-store`: everything that was built, to another disk."""

from __future__ import annotations

import argparse
import logging
import os
import time
from pathlib import Path

from comfy_env_core.building.relocation import Tell, relocate
from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FINE, CommandError
from comfy_env_core.cli.spoken_report import SpokenReport
from comfy_env_core.environments.links import is_link
from comfy_env_core.environments.moving import MoveRefused

log = logging.getLogger("comfy-env")

_TELL_EVERY_S = 5.0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "destination", metavar="DIRECTORY", type=Path, help="a new or empty directory on the other disk"
    )


def run(options: argparse.Namespace, context: Context) -> int:
    destination = Path(os.path.abspath(os.path.expanduser(options.destination)))
    try:
        failed = relocate(context.store, destination, _teller(), SpokenReport())
    except MoveRefused as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        where = error.filename or destination
        raise CommandError(
            f"Moving the store to {str(destination)!r} stopped at {str(where)!r}: {error.strerror or error}. The "
            "environments go on where they are. Run the same command again: it goes on where it stopped."
        ) from error
    if context.wants_json:
        context.print_json(as_json(context, failed))
    else:
        _tell(context, failed)
    return FINE


def as_json(context: Context, failed: tuple[str, ...]) -> dict[str, object]:
    """`{"store", "lies_at", "built_anew": [environment ids]}`: what starts at the old place only is built anew."""
    root = context.store.root
    return {"store": str(root), "lies_at": os.path.realpath(root), "built_anew": list(failed)}


def _teller() -> Tell:
    """A line every few seconds; what is not counted is said by what it leads to."""
    told_at = time.monotonic()

    def tell(text: str, copied_bytes: int, total_bytes: int) -> None:
        nonlocal told_at
        if total_bytes and time.monotonic() - told_at > _TELL_EVERY_S:
            told_at = time.monotonic()
            log.info("  %s", text)

    return tell


def _tell(context: Context, failed: tuple[str, ...]) -> None:
    root = context.store.root
    context.say(f"The environments lie in {os.path.realpath(root)}.")
    if is_link(root):
        context.say(
            f"{root} leads there. Keep it: they work by that path, and every ComfyUI finds them by it."
        )
    for environment_id in failed:
        context.say(f"{environment_id} does not start there and is built anew at the next start of ComfyUI.")


COMMAND = Command(
    name="move-store",
    summary="Move all environments and caches to another disk",
    configure=configure,
    run=run,
    examples=(
        Example("/mnt/big/ce", "to another disk; the old path becomes a link to it"),
        Example("~/.ce", "back to where the store was first"),
    ),
    details=(
        "End every ComfyUI first. The files are copied, every interpreter is started once at the new place, then a\n"
        "link takes the place of the old directory, and the old files are deleted. Until then the old ones serve:\n"
        "interrupted at any point, the command can be run again and goes on where it stopped. Nothing is built anew."
    ),
    speaks_json=True,
)
