"""What a worker prints and logs: into ComfyUI's log, a file, and a short memory for crash reports."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from comfy_env_core.supervision.telling import Teller
from comfy_env_core.wire.log_records import MARK, MAX_LINE_BYTES, LogLine, unpack_line

log = logging.getLogger("comfy-env.supervision")

TAIL_LINES = 40
CHUNK_BYTES = 64 * 1024
# A printed line longer than this is cut: something printed binary data, or an array.
MAX_PRINTED_BYTES = 16 * 1024
MAX_LOG_BYTES = 4 * 1024 * 1024

OnLine = Callable[[LogLine], None]


class OutputReader:
    """Reads a pipe to its end on a thread of its own, so that the worker never waits for us.

    Owns the pipe. `on_line` gets each line without its end, on another thread, which may be slow; of a line that was
    overwritten with carriage returns (progress bars), only the last state. What is printed counts as INFO.
    """

    def __init__(self, pipe: IO[bytes], name: str, log_path: Path, on_line: OnLine) -> None:
        self._pipe = pipe
        self._teller = Teller(name, log_path, on_line)
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
        with self._teller, self._pipe, _open_log(self._log_path) as file:
            descriptor = self._pipe.fileno()
            while True:
                chunk = os.read(descriptor, CHUNK_BYTES)
                if not chunk:
                    break
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._take(line, file)
                rest = _shortened(rest)
            if rest:
                self._take(rest, file)

    def _take(self, raw: bytes, file: IO[str]) -> None:
        for line in _parsed(raw):
            text = line.text
            if line.level != logging.INFO or line.logger:
                text = f"{logging.getLevelName(line.level)} {line.logger or 'root'}: {text}"
            self._lines.extend(text.splitlines())
            try:
                file.write(text + "\n")
            except OSError:  # a full disk must not block the worker
                log.debug("A line of output could not be kept in %s", self._log_path, exc_info=True)
            self._teller.tell(line)


def _parsed(raw: bytes) -> Iterator[LogLine]:
    """The lines in one: a record, and before it what was printed without a line end."""
    printed, mark, content = raw.partition(MARK)
    record = unpack_line(content) if mark else None
    if record is None:
        printed = raw
    if printed or record is None:
        shown = printed.rstrip(b"\r").rpartition(b"\r")[2][:MAX_PRINTED_BYTES]
        yield LogLine(logging.INFO, "", shown.decode("utf-8", errors="backslashreplace"))
    if record is not None:
        yield record


def _shortened(rest: bytes) -> bytes:
    """Of an endless line the beginning is kept, of a progress bar the end, of a record all."""
    if len(rest) <= MAX_PRINTED_BYTES or (MARK in rest and len(rest) <= MAX_PRINTED_BYTES + MAX_LINE_BYTES):
        return rest
    return rest.rpartition(b"\r")[2][:MAX_PRINTED_BYTES]


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
