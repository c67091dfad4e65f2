"""What the packages of a system can be asked, whichever program manages them."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from typing import Protocol

from comfy_env_core.building.report import Report

Argv = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class InstallPlan:
    """How missing packages would be installed here.

    `install` are the names that the system knows them by; `unknown` it does not offer under any. `commands` are for a
    person to type, in order; empty if there is nothing to do.
    """

    install: tuple[str, ...]
    unknown: tuple[str, ...]
    commands: tuple[Argv, ...]

    def shell_lines(self) -> tuple[str, ...]:
        """The commands as one types them."""
        return tuple(shlex.join(command) for command in self.commands)


class SystemPackages(Protocol):
    """The packages of this machine."""

    @property
    def name(self) -> str:
        """The section of the file that speaks of them: "apt" or "brew"."""

    def missing(self, packages: Sequence[str]) -> tuple[str, ...]:
        """Those that are not installed, by reading files alone. Raises OSError."""

    def plan(self, missing: Sequence[str]) -> InstallPlan:
        """How to install them; may ask the program what it offers, over no network."""

    def install(self, missing: Sequence[str], report: Report) -> None:
        """Installs them, each line of output going to the report. Returns when all are there; raises BuildError.

        Never asks for a password: without the right to install, that is the error, with the command to type.
        """
