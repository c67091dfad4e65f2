"""What a build tells the outside while it runs, and how the outside tells it to stop."""

from __future__ import annotations

import contextlib
import enum
from typing import Protocol


class Phase(enum.Enum):
    """The steps of a build that a user can tell apart; the values appear in JSON."""

    WAITING = "waiting"  #: for another build of the same environment, or for our turn at PyPI
    RESOLVING = "resolving"
    DOWNLOADING = "downloading"
    INSTALLING = "installing"
    VERIFYING = "verifying"


class Report(Protocol):
    """Handed to an engine and to every step of a build. All methods may be called from any thread."""

    def phase(self, phase: Phase, text: str = "") -> None:
        """A new phase, or the same one with a new text (one line, for people)."""

    def packages(self, done: int, total: int) -> None:
        """How many packages of how many are in place; a total of 0 means not known."""

    def percent(self, value: float | None) -> None:
        """How far the phase is where packages do not say it (bytes of a download). A new phase begins with None."""

    def log(self, line: str) -> None:
        """One line of output, without line end. Must not hold credentials."""

    def check(self) -> None:
        """Raises `BuildError(CANCELLED)` when somebody asked to cancel. Call at least every 0.2 s."""

    def pypi_turn(self) -> contextlib.AbstractContextManager[None]:
        """Hold this around the PyPI part of a build: one build of this process at a time.

        Parallel cold installs are correct but lose uv's hard-link sharing: four at once left 334 MB where one
        after the other leaves 111 MB. Entering waits visibly and can be cancelled.
        """


class QuietReport:
    """A `Report` that nobody reads and nobody cancels: for command lines and tests."""

    def phase(self, phase: Phase, text: str = "") -> None:
        pass

    def packages(self, done: int, total: int) -> None:
        pass

    def percent(self, value: float | None) -> None:
        pass

    def log(self, line: str) -> None:
        pass

    def check(self) -> None:
        pass

    def pypi_turn(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()
