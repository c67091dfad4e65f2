"""Pages of a log: its last lines, or whole lines from anywhere in it. Reads what it shows, whatever the log's size."""

from __future__ import annotations

import functools
import os
import zlib
from pathlib import Path
from types import TracebackType
from typing import TypedDict

#: A page is one answer of the server, which ComfyUI's event loop encodes: this much takes it about a millisecond.
MOST_PAGE_BYTES = 1024 * 1024
#: A line that is longer is cut into several.
LONGEST_LINE_BYTES = 1024 * 1024
_BLOCK_BYTES = 64 * 1024
#: So much of the first line tells one log from another. It says when the log began, or what was printed first.
_FIRST_LINE_BYTES = 256


class LogPage(TypedDict):
    """Whole lines of a log, from byte `start` to byte `end` of the `size` that it has now.

    - `log`: changes when another log is at this place: offsets of the one before mean nothing then.
    - `text`: bytes that are no UTF-8 are shown as U+FFFD. The last line of a log that is being written is not there
      before it is ended.
    """

    log: str
    start: int
    end: int
    size: int
    text: str


class LogFile:
    """An open log, at the moment in which it was opened; use as a context manager. Opening raises OSError.

    - `end`: of what can be shown: of the last line that is ended, or of the file if nobody writes to it any more
      (`is_over`).
    """

    def __init__(self, path: Path, *, is_over: bool) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 (closed by `__exit__`)
        self._is_over = is_over
        self.size = os.fstat(self._file.fileno()).st_size

    def __enter__(self) -> LogFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @functools.cached_property
    def id(self) -> str:
        """Of two logs that were at the same place one after the other, it differs: the file system may give the second
        the inode of the first, so the first line counts as well."""
        first, line_end, _ = self._read(0, _FIRST_LINE_BYTES).partition(b"\n")
        is_known = line_end or len(first) == _FIRST_LINE_BYTES
        return f"{os.fstat(self._file.fileno()).st_ino:x}-{zlib.crc32(first) if is_known else 0:08x}"

    @functools.cached_property
    def end(self) -> int:
        return self.size if self._is_over else self._line_start(self.size)

    def tail(self, lines: int, most_bytes: int = MOST_PAGE_BYTES) -> LogPage:
        """The last `lines` lines, or fewer of them if they are long."""
        is_ended = self.end > 0 and self._read(self.end - 1, 1) == b"\n"
        start = self._line_start(self.end - 1 if is_ended else self.end, lines, most_bytes)
        if start and self._read(start - 1, 1) != b"\n":
            start = self._line_end(start)
        return self.page(start, self.end)

    def range(self, offset: int, most_bytes: int) -> LogPage:
        """The lines from the one in which `offset` lies to the last that ends within `most_bytes` after it, but at
        least one."""
        offset = min(offset, self.end)
        if offset == self.end:
            return self.page(offset, offset)
        stop = min(offset + most_bytes, self.end)
        if stop < self.end:
            last = self._line_start(stop)
            stop = last if last > offset else self._line_end(stop)
        return self.page(self._line_start(offset), stop)

    def since(self, offset: int, most_bytes: int) -> LogPage:
        """The lines after `offset`, where a line begins; of more than `most_bytes` the newest."""
        start = offset if self.end - offset <= most_bytes else self._line_end(self.end - most_bytes)
        return self.page(start, max(start, self.end))

    def page(self, start: int, end: int) -> LogPage:
        content = self._read(start, end - start)
        return {
            "log": self.id,
            "start": start,
            "end": start + len(content),  # less, if the log was cut off meanwhile
            "size": self.size,
            "text": content.decode("utf-8", "replace"),
        }

    def _line_start(self, offset: int, lines: int = 1, most_bytes: int = LONGEST_LINE_BYTES) -> int:
        """Where the line that holds the byte before `offset` begins, or one of the `lines` - 1 before that. Looks back
        at most `most_bytes`."""
        lowest = max(0, offset - most_bytes)
        position, missing = offset, lines
        while position > lowest:
            begin = max(lowest, position - _BLOCK_BYTES)
            block = self._read(begin, position - begin)
            here = block.count(b"\n")
            if here >= missing:
                return begin + _nth_last_line_end(block, missing)
            position, missing = begin, missing - here
        return lowest

    def _line_end(self, offset: int) -> int:
        """Where the line that holds the byte at `offset` ends."""
        highest = min(self.end, offset + LONGEST_LINE_BYTES)
        while offset < highest:
            block = self._read(offset, min(_BLOCK_BYTES, highest - offset))
            if not block:
                break
            found = block.find(b"\n")
            if found >= 0:
                return offset + found + 1
            offset += len(block)
        return offset

    def _read(self, offset: int, count: int) -> bytes:
        """Fewer at the end of the file."""
        self._file.seek(offset)
        parts = []
        while count > 0:
            part = self._file.read(count)
            if not part:
                break
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


def _nth_last_line_end(block: bytes, number: int) -> int:
    """Where what follows the `number`-th line end from behind begins."""
    at = len(block)
    for _ in range(number):
        at = block.rfind(b"\n", 0, at)
    return at + 1
