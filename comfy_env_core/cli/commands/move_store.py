"""`move-store`: everything that was built, to another disk."""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from comfy_env_core.building.store_place import check_place
from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FINE, CommandError
from comfy_env_core.cli.spoken_report import SpokenReport
from comfy_env_core.environments import moving
from comfy_env_core.environments.links import is_link
from comfy_env_core.environments.size_text import megabytes
from comfy_env_core.environments.sizes import size_of

log = logging.getLogger("comfy-env")

_TELL_EVERY_S = 5.0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "destination", metavar="DIRECTORY", type=Path, help="a new or empty directory on the other disk"
    )


def run(options: argparse.Namespace, context: Context) -> int:
    destination = Path(os.path.abspath(os.path.expanduser(options.destination)))
    try:
        failed = _move(context, destination)
    except moving.MoveRefused as error:
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


def _move(context: Context, destination: Path) -> tuple[str, ...]:
    store = context.store
    move = moving.prepare_move(store, destination)
    if move is None:
        return ()
    check_place(
        move.target, store.root / "_env_00000000" / "1" / ".pixi" / "envs" / "default", SpokenReport()
    )
    total_bytes = size_of(move.source).total_bytes
    log.info("Copying %s from %s to %s.", megabytes(total_bytes), move.source, move.target)
    moving.copy(move, _teller(total_bytes))
    moving.copy(move, _teller(total_bytes))  # what changed meanwhile
    failed = moving.try_out(move)
    moving.switch(store, move)
    log.info("Deleting the old files.")
    moving.remove_source(store)
    return tuple(environment.id for environment in failed)


def _teller(total_bytes: int) -> Callable[[int], None]:
    told_at = time.monotonic()

    def tell(copied_bytes: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at > _TELL_EVERY_S:
            told_at = time.monotonic()
            log.info("  %s of %s", megabytes(copied_bytes), megabytes(total_bytes))

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
