"""`init`: writes a comfy-env.toml for a pack, with the packages that it seems to need."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FAILED, FINE, NOT_FOUND, USAGE, CommandError
from comfy_env_core.cli.pack_template import ISOLATED_INIT, config_text, pack_init
from comfy_env_core.cli.wanted_packages import Findings, find_wanted
from comfy_env_core.config import parse_env
from comfy_env_core.discovery import ENV_FILE_NAME

_FOLDER = "isolated"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "directory", metavar="DIR", nargs="?", type=Path, default=Path(), help="the pack; default: here"
    )
    parser.add_argument(
        "--isolated",
        metavar="NAME",
        nargs="?",
        const=_FOLDER,
        help=f"isolate one folder of the pack instead of all of it: makes DIR/NAME (default: {_FOLDER}) with a file "
        "and an example node",
    )
    parser.add_argument(
        "--print", action="store_true", help="write the file to stdout, and nothing to the disk"
    )


def run(options: argparse.Namespace, context: Context) -> int:
    """FAILED where a file of that name is already."""
    pack = Path(os.path.abspath(options.directory))
    if not pack.is_dir():
        raise CommandError(f"{str(pack)!r} is no directory.", NOT_FOUND)
    if pack.name == "custom_nodes":
        raise CommandError(f"{str(pack)!r} holds packs and is none: name the folder of one.", USAGE)
    if options.isolated is not None and not options.isolated.isidentifier():
        raise CommandError(
            f"--isolated {options.isolated!r}: Python cannot import a folder of that name.", USAGE
        )
    findings = Findings((), (), ()) if options.isolated else _findings(pack)
    text = config_text(findings)
    site = pack / options.isolated if options.isolated else pack
    parse_env(text.encode(), site / ENV_FILE_NAME)
    if options.print:
        context.say(text)
        return FINE
    files = {site / ENV_FILE_NAME: text}
    if options.isolated:
        files[site / "__init__.py"] = ISOLATED_INIT
        files.setdefault(pack / "__init__.py", pack_init(options.isolated))
    _write(files, pack, context)
    _tell_next_steps(pack, site, context)
    return FINE


def _findings(pack: Path) -> Findings:
    try:
        return find_wanted(pack)
    except OSError as error:
        raise CommandError(f"Reading the pack in {str(pack)!r} failed: {error}.", FAILED) from error


def _write(files: dict[Path, str], pack: Path, context: Context) -> None:
    """Only a file of the pack itself may be there already: it is left alone."""
    present = [path for path in files if path.exists() and path != pack / "__init__.py"]
    if present:
        raise CommandError(f"{str(present[0])!r} is there already and was not overwritten.", FAILED)
    for path, text in files.items():
        if path.exists():
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise CommandError(f"Writing {str(path)!r} failed: {error.strerror or error}.", FAILED) from error
        context.say(f"Wrote {path}")


def _tell_next_steps(pack: Path, site: Path, context: Context) -> None:
    if site != pack and site.name not in (pack / "__init__.py").read_text("utf-8", errors="replace"):
        context.say(f"Add to {pack / '__init__.py'}:")
        context.say(f"    from .{site.name} import NODE_CLASS_MAPPINGS as ISOLATED_NODES")
        context.say("    NODE_CLASS_MAPPINGS.update(ISOLATED_NODES)")
    context.say(f"Check {site / ENV_FILE_NAME}, then: build {pack.name}")


COMMAND = Command(
    name="init",
    summary="Write a comfy-env.toml for a pack, with the packages that it seems to need",
    configure=configure,
    run=run,
    examples=(
        Example("custom_nodes/my-pack", "isolates the whole pack"),
        Example("--isolated mesh", "makes the folder mesh in the pack here and isolates that alone"),
        Example("--print", "shows the file for the pack here, without writing it"),
    ),
    details=(
        "Reads requirements.txt and the imports of the source; no code of the pack runs. The packages are a guess for\n"
        "you to check: what a pack takes from ComfyUI's own Python is listed too, since its nodes leave that Python.\n"
        "torch is not listed: nodes that import it get ComfyUI's version by themselves."
    ),
)
