"""`python install.py`, as ComfyUI-Manager runs it: `build` for the packs beside this one, told on stdout alone."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from comfy_env_core.cli import installing
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.custom_nodes import beside_us
from comfy_env_core.cli.exit_codes import INTERRUPTED, CommandError

log = logging.getLogger("comfy-env")


def main(arguments: Sequence[str]) -> int:
    """Returns one of `exit_codes`. What failed is told in the last lines."""
    options = _parser().parse_args(arguments)
    options.custom_nodes = options.custom_nodes or [beside_us()]
    with contextlib.closing(Context(options)) as context:
        try:
            # An installer may ask for a pack that isolates nothing.
            packs = options.pack
            chosen = [site.id for site in context.scan.sites if not packs or site.pack.path.name in packs]
            places = ", ".join(map(str, context.custom_nodes))
            log.info("%d isolated in %s; environments in %s", len(chosen), places, context.store.root)
            outcome = installing.build(context.manager(), chosen, sys.stdout)
        except CommandError as error:
            log.error("%s", error)
            return error.exit_code
        except KeyboardInterrupt:
            log.error("Interrupted; nothing half-built will be taken for ready.")
            return INTERRUPTED
    for line in outcome.lines():
        log.info("%s", line)
    return outcome.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="install.py", description=__doc__)
    parser.add_argument(
        "custom_nodes",
        nargs="*",
        type=Path,
        help="custom_nodes directories; the default is the one that this pack lies in",
    )
    parser.add_argument(
        "--pack", action="append", default=[], help="build for this folder alone; may be given several times"
    )
    return parser
