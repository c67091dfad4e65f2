"""`install.log`: what one build did, why, when, with what, and how it ended. Two older ones stay as .1 and .2."""

from __future__ import annotations

import collections
import contextlib
import datetime
import logging
import os
import threading
from pathlib import Path
from typing import IO

from comfy_env_core.building.user_settings import redact

log = logging.getLogger("comfy-env.building")

_KEPT = 2
_TAIL_LINES = 40
_FAILED = "FAILED after "
#: The outcome is looked for in this much of a log.
_END_BYTES = 64 * 1024


class InstallLog:
    """Open from construction until `close`. Thread-safe.

    A full disk never stops a build by way of its log: lines are then kept in memory alone, and that is logged once.
    """

    def __init__(self, path: Path, header: tuple[str, ...]) -> None:
        """Moves older logs aside and writes the header. Raises OSError when the directory cannot be written."""
        self.path = path
        self._lock = threading.Lock()
        self._tail: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)
        _rotate(path)
        self._file: IO[str] | None = open(path, "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
        for line in header:
            self._write(f"# {redact(line)}")

    def line(self, text: str) -> None:
        """One line (or several) of output with the time of day before it, without passwords of URLs."""
        for part in redact(text).splitlines() or [""]:
            with self._lock:
                self._tail.append(part)
            self._write(f"{datetime.datetime.now().astimezone():%H:%M:%S} {part}")

    def tail(self) -> tuple[str, ...]:
        """The last lines of output, without times."""
        with self._lock:
            return tuple(self._tail)

    def close(self, outcome: str) -> None:
        """Writes how it ended as the last line and closes the file. Does nothing the second time."""
        for part in redact(outcome).splitlines():
            self._write(f"# {part}")
        with self._lock:
            file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(
                OSError
            ):  # what could not be flushed was reported at the first failing write
                file.close()

    def _write(self, text: str) -> None:
        with self._lock:
            if self._file is None:
                return
            try:
                self._file.write(text + "\n")
                self._file.flush()
            except OSError as error:
                log.warning(
                    "Writing %s failed (%s); the rest of this build is not in the log.", self.path, error
                )
                file, self._file = self._file, None
                with contextlib.suppress(OSError):
                    file.close()


def read_outcome(path: Path) -> str | None:
    """What the log of a failed build says of its end, None for any other build or none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _END_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    outcome: list[str] = []
    for line in reversed(lines):
        if not line.startswith("# "):
            return None
        outcome.insert(0, line[2:])
        if line.startswith(f"# {_FAILED}"):
            return " ".join(outcome).partition(": ")[2]
    return None


def failure(elapsed_s: float, error: BaseException) -> str:
    """The outcome of a build that failed, in the words that `read_outcome` knows."""
    return f"{_FAILED}{elapsed_s:.1f} s: {error}"


def utc_now() -> str:
    """The present moment in ISO 8601, UTC, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def _rotate(path: Path) -> None:
    for number in range(_KEPT, 0, -1):
        older = path if number == 1 else path.with_name(f"{path.name}.{number - 1}")
        with contextlib.suppress(FileNotFoundError):
            os.replace(older, path.with_name(f"{path.name}.{number}"))
