"""What a worker prints: into the log, a file, and a short memory for crash reports."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO

log = logging.getLogger("comfy-env.supervision")

TAIL_LINES = 40
CHUNK_BYTES = 64 * 1024
# A line longer than this is cut: something printed binary data, or an array.
MAX_LINE_BYTES = 16 * 1024
MAX_LOG_BYTES = 4 * 1024 * 1024


class OutputReader:
    """Reads a pipe to its end on a thread of its own, so that the worker never waits for us.

    Owns the pipe. `on_line` gets each line without its end; of a line that was overwritten with carriage
    returns (progress bars), only the last state.
    """

    def __init__(self, pipe: IO[bytes], name: str, log_path: Path, on_line: Callable[[str], None]) -> None:
        self._pipe = pipe
        self._on_line = on_line
        self._log_path = log_path
        self._lines: deque[str] = deque(maxlen=TAIL_LINES)
        self._thread = threading.Thread(target=self._read, name=f"comfy-env output {name}", daemon=True)
        self._thread.start()

    def tail(self, wait_s: float = 0.0) -> tuple[str, ...]:
        """The last lines, after waiting at most `wait_s` for the end of the output."""
        if wait_s:
            self._thread.join(wait_s)
        return tuple(self._lines)

    def _read(self) -> None:
        rest = b""
        with self._pipe, _open_log(self._log_path) as file:
            descriptor = self._pipe.fileno()
            while True:
                chunk = os.read(descriptor, CHUNK_BYTES)
                if not chunk:
                    break
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._take(line, file)
                if len(rest) > MAX_LINE_BYTES:
                    # Of an endless line the beginning is kept, of a progress bar the end.
                    rest = rest.rpartition(b"\r")[2][:MAX_LINE_BYTES]
            if rest:
                self._take(rest, file)

    def _take(self, line: bytes, file: IO[str] | None) -> None:
        shown = line.rstrip(b"\r").rpartition(b"\r")[2][:MAX_LINE_BYTES]
        text = shown.decode("utf-8", errors="backslashreplace")
        self._lines.append(text)
        try:
            if file is not None:
                file.write(text + "\n")
            self._on_line(text)
        except Exception:  # a full disk or a foreign log handler must not block the worker
            log.debug("A line of output could not be passed on", exc_info=True)


def _open_log(path: Path) -> IO[str]:
    """The log file, the one before kept as ".1" when it grew large; nowhere if it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
            path.replace(path.with_name(path.name + ".1"))
        return path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
    except OSError as error:
        log.warning("The output of a worker is not kept in %s: %s", path, error)
        return open(os.devnull, "w", encoding="utf-8")
