"""`run`: a command in a pack's environment, as its worker has it."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from comfy_env_core.building.verification import probe_environment
from comfy_env_core.cli.command import Command, Example
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FAILED, NOT_FOUND, CommandError
from comfy_env_core.cli.targets import TARGET_HELP, environment_named


def configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = f"{parser.prog} [options] PACK|ENV [-- CMD …]"
    parser.add_argument("target", metavar="PACK|ENV", help=TARGET_HELP)


def run(options: argparse.Namespace, context: Context) -> int:
    """The exit code of the command. Off Windows the command takes our place, so that signals are its own."""
    environment, known = environment_named(context, options.target)
    workspace = environment.current()
    if workspace is None:
        raise CommandError(
            f"Environment {environment.id} is not built. Build it first: build {options.target}", FAILED
        )
    env_vars: dict[str, str] = {}
    for site in known:
        if site.site.spec is not None and site.environment == environment:
            env_vars.update(site.site.spec.env_vars)
    variables = probe_environment(workspace.prefix, env_vars)
    argv = options.argv or ["python"]
    program = shutil.which(argv[0], path=variables["PATH"])
    if program is None:
        raise CommandError(
            f"There is no program {argv[0]!r}, neither in environment {environment.id} nor on your PATH.",
            NOT_FOUND,
        )
    return _replace_us(Path(program), argv, variables)


def _replace_us(program: Path, argv: Sequence[str], variables: Mapping[str, str]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform != "win32":
        os.execve(program, list(argv), dict(variables))  # noqa: S606 – what to run is what the user typed
    # Windows has no exec: what is called so there returns to the shell at once. Ctrl+C is the child's alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return subprocess.call([str(program), *argv[1:]], env=dict(variables))


COMMAND = Command(
    name="run",
    summary="Run a command in a pack's environment",
    configure=configure,
    run=run,
    examples=(
        Example("ComfyUI-GeometryPack", "its Python, to try an import"),
        Example("ComfyUI-GeometryPack -- python -m pip list", "what is installed there"),
        Example("a0817083 -- nvidia-smi", "a program of your system, with the environment's variables"),
    ),
    passes_on=True,
    details=(
        "Without a command, Python is started. A command sees what the pack's nodes see: the environment's programs\n"
        "first on PATH, CONDA_PREFIX, and the variables of [env_vars]; none of your own PYTHONPATH, PIP_* or CONDA_*\n"
        "settings. Its exit code is ours. What you install there by hand is gone after the next rebuild: put it into\n"
        "comfy-env.toml."
    ),
)
