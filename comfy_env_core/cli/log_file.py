"""A log that somebody may be writing: its last lines, and what is added to it."""

from __future__ import annotations

import collections
import os
from collections.abc import Callable, Iterator
from pathlib import Path


def last_lines(path: Path, count: int) -> list[str]:
    """Raises OSError when there is no such file."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return [line.rstrip("\n") for line in collections.deque(file, maxlen=count)]


def follow(path: Path, count: int, wait: Callable[[], None]) -> Iterator[str]:
    """The last `count` lines, then each line as it is written, without end: also those of the next log of that name.

    `wait` is called when there is nothing new. Yields "" once for a log that took the place of another.
    """
    identity: tuple[int, int] | None = None
    position = 0
    begun = ""
    while True:
        # Opened anew each time: on Windows a file that somebody holds open cannot be moved aside by the next build.
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                if identity not in (None, (status.st_dev, status.st_ino)):
                    yield from ("", *filter(None, [begun]))
                    position, begun = 0, ""
                is_first, identity = identity is None, (status.st_dev, status.st_ino)
                file.seek(position)
                added = file.read()
                position = file.tell()
        except OSError:
            added, is_first = b"", False
        *lines, begun = (begun + added.decode("utf-8", "replace")).split("\n")
        yield from lines[-count:] if is_first else lines
        if not added:
            wait()
