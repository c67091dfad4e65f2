"""Which processes of this machine run in a directory, whoever started them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

import psutil


class ProcessUse(NamedTuple):
    """A process that runs in a directory."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} ({self.pid})"


class Processes:
    """The processes of this machine at one moment, and where they run.

    A process runs where its program, its command or its working directory lies. The command too: the program of a
    virtual environment is the interpreter that it was made from. Processes of other users count as far as the system
    lets us see them.
    """

    def __init__(self) -> None:
        self._places = [(ProcessUse(process.pid, _name(process)), _places(process)) for process in _all()]

    def inside(self, directory: Path) -> tuple[ProcessUse, ...]:
        """Those that run in `directory` or below."""
        spellings = {os.path.abspath(directory), os.path.realpath(directory)}
        roots = tuple(os.path.normcase(spelling) + os.sep for spelling in spellings)
        return tuple(use for use, places in self._places if any(place.startswith(roots) for place in places))


def processes_in(directory: Path) -> tuple[ProcessUse, ...]:
    """The processes that run in `directory` now. Looks at all processes: tens of milliseconds."""
    return Processes().inside(directory)


def _all() -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if process.pid != os.getpid()]


def _places(process: psutil.Process) -> list[str]:
    places = []
    with contextlib.suppress(psutil.Error, OSError):
        places.append(process.exe())
    with contextlib.suppress(psutil.Error, OSError, IndexError):
        places.append(process.cmdline()[0])
    with contextlib.suppress(psutil.Error, OSError):
        places.append(process.cwd())
    return [os.path.normcase(place) + os.sep for place in places if place]


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return "?"  # it has ended meanwhile, or belongs to another user
