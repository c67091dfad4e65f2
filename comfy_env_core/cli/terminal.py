"""What a stream can show: how wide it is, whether lines can be rewritten, which characters it knows."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

if sys.platform == "win32":
    import ctypes
    import msvcrt

#: A column of text narrower than this is hard to read.
_BEARABLE = 30
_ENABLE_VIRTUAL_TERMINAL_PROCESSING = 4


def is_interactive(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether somebody looks at the stream and it understands the escape sequences that rewrite lines."""
    if not stream.isatty() or environ.get("TERM") == "dumb":
        return False
    return sys.platform != "win32" or _understands_escapes(stream)


def columns(stream: TextIO, environ: Mapping[str, str] = os.environ) -> int:
    """The width of the stream's terminal; COLUMNS outranks it; 80 where neither is known."""
    named = environ.get("COLUMNS", "")
    if named.isdecimal() and int(named) > 0:
        return int(named)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return shutil.get_terminal_size().columns


def can_show(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def width(text: str) -> int:
    """In columns: East Asian characters take two, combining ones none."""
    return sum(map(_character_width, text))


def fit(text: str, limit: int, ellipsis: str = "...") -> str:
    """`text` on one line, cut so that it takes no more than `limit` columns."""
    text = " ".join(text.split())
    if width(text) <= limit:
        return text
    room = limit - width(ellipsis)
    kept = ""
    for character in text:
        room -= _character_width(character)
        if room < 0:
            break
        kept += character
    return f"{kept}{ellipsis}"[: max(limit, 0)]


def pad(text: str, columns: int) -> str:
    """`text` with spaces after it up to that width."""
    return text + " " * (columns - width(text))


def lay_out(rows: Sequence[Sequence[str]], room: int | None) -> Iterator[str]:
    """Lines of a table without rules. The last cell of a row is wrapped where it does not fit into `room` columns."""
    widths = [
        max(map(width, cells)) for cells in itertools.zip_longest(*(row[:-1] for row in rows), fillvalue="")
    ]
    for row in rows:
        left = "".join(
            f"{pad(cell, cells_width)}  " for cell, cells_width in zip(row[:-1], widths, strict=False)
        )
        if room is None or width(left) + width(row[-1]) <= room:
            yield f"{left}{row[-1]}".rstrip()
            continue
        # Beside the other cells if there is a bearable column for it, else below them.
        indent = " " * (width(left) if room - width(left) >= _BEARABLE else 4)
        wrapped = textwrap.wrap(
            row[-1], max(room - len(indent), 10), break_long_words=False, break_on_hyphens=False
        )
        if len(indent) == width(left):
            yield f"{left}{wrapped[0]}" if wrapped else left.rstrip()
            wrapped = wrapped[1:]
        elif left.strip():
            yield left.rstrip()
        yield from (f"{indent}{line}" for line in wrapped)


def _character_width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


if sys.platform == "win32":

    def _understands_escapes(stream: TextIO) -> bool:
        """Asks the console for it: before Windows 10 it refuses, and later ones have to be asked."""
        mode = ctypes.c_uint32()
        handle = msvcrt.get_osfhandle(stream.fileno())
        kernel32 = ctypes.windll.kernel32
        if not kernel32.GetConsoleMode(handle, ctypes.byref(mode)):
            return False
        return bool(kernel32.SetConsoleMode(handle, mode.value | _ENABLE_VIRTUAL_TERMINAL_PROCESSING))

else:

    def _understands_escapes(stream: TextIO) -> bool:
        return True
