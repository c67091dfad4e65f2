"""What a command is, and the parser made from it."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfy_env_core.cli.context import Context

_PACKAGE = "comfy_env_core"


def program_name() -> str:
    """How the user started us, so that what help shows can be typed: by the package's name, or by its path."""
    if Path(sys.argv[0]).name == _PACKAGE:
        return f"python {shlex.quote(sys.argv[0])}"
    return f"python -m {_PACKAGE}"


@dataclasses.dataclass(frozen=True)
class Example:
    """`arguments` as typed after the command's name; `effect`: what it does, a line without a final full stop."""

    arguments: str
    effect: str


@dataclasses.dataclass(frozen=True)
class Command:
    """One command. Its module holds it as `COMMAND`.

    - `summary`: a line without a final full stop, for the list of all commands; `details`: what else `--help` tells.
    - `configure`: adds the command's own arguments. `run`: returns one of `exit_codes`, raises `CommandError`.
    - `examples`: at least one; each is parsed by a test.
    - `passes_on`: what follows the first "--" is not parsed, and handed to `run` as `options.argv`.
    - `speaks_json`: has the option `--json`, with which `run` writes one JSON document to stdout and nothing else.
    """

    name: str
    summary: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Context], int]
    examples: tuple[Example, ...]
    details: str = ""
    speaks_json: bool = False
    passes_on: bool = False

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Ends the program for `--help` and for what is wrong."""
        own, rest = list(arguments), []
        # argparse would take every further "--" out of what is passed on.
        if self.passes_on and "--" in own:
            separator = own.index("--")
            own, rest = own[:separator], own[separator + 1 :]
        options = self.parser().parse_args(own)
        if self.passes_on:
            options.argv = rest
        return options

    def parser(self) -> argparse.ArgumentParser:
        parser = argparse.ArgumentParser(
            prog=f"{program_name()} {self.name}",
            description=f"{self.summary}.\n\n{self.details}".strip(),
            epilog=self._epilog(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.configure(parser)
        _add_common_options(parser, speaks_json=self.speaks_json)
        return parser

    def _epilog(self) -> str:
        lines = ["examples:"]
        for example in self.examples:
            lines += [
                f"  {program_name()} {self.name} {example.arguments}".rstrip(),
                f"      {example.effect}",
            ]
        return "\n".join(lines)


def _add_common_options(parser: argparse.ArgumentParser, *, speaks_json: bool) -> None:
    group = parser.add_argument_group("common options")
    group.add_argument(
        "--custom-nodes",
        metavar="DIR",
        action="append",
        default=[],
        type=Path,
        help="a custom_nodes directory; may be given several times. Default: the one that this pack lies in, "
        "else that of COMFYUI_PATH, else the current directory if it is one",
    )
    if speaks_json:
        group.add_argument("--json", action="store_true", help="write one JSON document instead of text")
    group.add_argument("-v", "--verbose", action="store_true", help="log more, and tracebacks")
