"""`support-bundle`: one zip to hand on when asking for help."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FINE, CommandError
from comfy_env_core.environments.atomic import write_atomically


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        type=Path,
        help="where to write it; default: a name of its own, here",
    )


def run(options: argparse.Namespace, context: Context) -> int:
    named: Path | None = options.file
    path = Path(os.path.abspath(named or time.strftime("comfy-env-support-%Y%m%d-%H%M%S.zip")))
    if path.is_dir():
        raise CommandError(f"{str(path)!r} is a directory: name a file in it.")
    content = _content(context)
    try:
        write_atomically(path, content)
    except OSError as error:
        raise CommandError(
            f"{str(path)!r} cannot be written: {error.strerror or error}. Name another place: support-bundle FILE"
        ) from error
    context.say(
        f"Written to {path}. Names, places and secrets are replaced; look through it before you hand it on."
    )
    return FINE


def _content(context: Context) -> bytes:
    """As the panel has it."""
    try:
        # Only here: it takes longer to import than other commands take to run, and needs a library of ComfyUI's.
        from comfy_env_core.api.clients import NOBODY
        from comfy_env_core.api.opening import open_backend
        from comfy_env_core.api.support import SupportBundle
    except ModuleNotFoundError as error:
        raise CommandError(
            f"The bundle is gathered with {error.name}, which this Python lacks. Run it with ComfyUI's own Python."
        ) from error
    backend = open_backend(context.assessed, NOBODY)
    try:
        return SupportBundle(backend).content()
    finally:
        backend.feed.close()


COMMAND = Command(
    name="support-bundle",
    summary="Write what explains a failure into one zip, without names and secrets",
    configure=configure,
    run=run,
    examples=(
        Example("", "a zip in the current directory"),
        Example("help-me.zip", "under a name of your own"),
    ),
    details=(
        "State, logs, configuration files, settings, versions, and what doctor finds, which asks the places that\n"
        "packages come from for one small page each. User name, host name, places on disks, addresses, passwords and\n"
        "keys are replaced by placeholders."
    ),
)
