"""`python -m comfy_env_core`: finds the command, runs it, and turns every way it can end into an exit code."""

from __future__ import annotations

import contextlib
import difflib
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import comfy_env_core
from comfy_env_core.building.errors import BuildError, disk_error
from comfy_env_core.building.platform import UnknownPlatform
from comfy_env_core.cli import exit_codes, table
from comfy_env_core.cli.command import program_name
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import CommandError
from comfy_env_core.config import ConfigError

log = logging.getLogger("comfy-env")


def main(arguments: Sequence[str]) -> int:
    """Runs one command line; returns its exit code. Results go to stdout, log lines and progress to stderr."""
    _let_every_character_pass()
    try:
        with _ended_like_by_ctrl_c():
            code = _run(arguments)
            sys.stdout.flush()
    except BrokenPipeError:  # `… | head`
        _point_stdout_nowhere()
        return exit_codes.BROKEN_PIPE
    except KeyboardInterrupt:
        log.error("Interrupted.")
        return exit_codes.INTERRUPTED
    return code


def _run(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        return exit_codes.FINE if arguments else exit_codes.USAGE
    if arguments[0] == "--version":
        print(comfy_env_core.__version__)
        return exit_codes.FINE
    name = arguments[0]
    if name not in table.names():
        close = difflib.get_close_matches(name, table.names(), n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(close)}?" if close else f"All commands: {program_name()} --help"
        log.error("There is no command %r. %s", name, hint)
        return exit_codes.USAGE
    command = table.load(name)
    options = command.parse(arguments[1:])
    if options.verbose:
        logging.getLogger("comfy-env").setLevel(logging.DEBUG)
    with contextlib.closing(Context(options)) as context:
        try:
            return command.run(options, context)
        except CommandError as error:
            log.error("%s", error, exc_info=options.verbose)
            return error.exit_code
        except (BuildError, ConfigError, UnknownPlatform) as error:
            log.error("%s", error, exc_info=options.verbose)
            return exit_codes.FAILED
        except PermissionError as error:
            place = Path(os.fsdecode(error.filename)) if error.filename else context.store.root
            log.error("%s", disk_error(error, f"The command {name!r}", place), exc_info=options.verbose)
            return exit_codes.FAILED


def _overview() -> str:
    lines = [f"usage: {program_name()} COMMAND …", "", "Environments of ComfyUI's isolated node packs.", ""]
    width = max(map(len, table.names())) + 2
    for heading, names in table.GROUPS.items():
        lines += [f"{heading}:", *(f"  {name:{width}}{table.load(name).summary}" for name in names), ""]
    lines += [f"More on one of them, with examples: {program_name()} COMMAND --help", ""]
    lines += ["Exit codes:", *(f"  {code:<4}{meaning}" for code, meaning in exit_codes.MEANINGS.items())]
    return "\n".join(lines)


def _let_every_character_pass() -> None:
    """A path may hold what the terminal's encoding does not; a message about it must not end in a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def _ended_like_by_ctrl_c() -> Iterator[None]:
    """SIGTERM ends builds as cleanly as Ctrl+C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if (
        threading.current_thread() is not threading.main_thread()
    ):  # Python lets that thread alone set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _point_stdout_nowhere() -> None:
    """The interpreter flushes stdout once more at its end, and would complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
