"""Which processes of this machine run in a directory, whoever started them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path

import psutil


@dataclasses.dataclass(frozen=True)
class ProcessUse:
    """A process that runs in a directory: its program, its command or its working directory lies there."""

    pid: int
    name: str


def processes_in(directory: Path) -> tuple[ProcessUse, ...]:
    """The processes whose program, whose command or whose working directory lies below `directory`.

    The command too: the program of a virtual environment is the interpreter that it was made from. Processes of other
    users count as far as the system lets us see them.
    """
    roots = tuple(
        {
            os.path.normcase(path) + os.sep
            for path in (os.path.abspath(directory), os.path.realpath(directory))
        }
    )
    found = []
    for process in psutil.process_iter():
        places = [os.path.normcase(place) + os.sep for place in _places(process)]
        if any(place.startswith(roots) for place in places):
            found.append(ProcessUse(process.pid, _name(process)))
    return tuple(found)


def _places(process: psutil.Process) -> list[str]:
    places = []
    with contextlib.suppress(psutil.Error, OSError):
        places.append(process.exe())
    with contextlib.suppress(psutil.Error, OSError, IndexError):
        places.append(process.cmdline()[0])
    with contextlib.suppress(psutil.Error, OSError):
        places.append(process.cwd())
    return [place for place in places if place]


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return "?"  # it has ended meanwhile, or belongs to another user
