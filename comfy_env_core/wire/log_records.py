"""A log record as one line among those that a worker prints, so that the two stay in order.

The line is MARK, then JSON: [level number, logger name ("" for the root), text], line ends inside the text escaped.
"""

from __future__ import annotations

import json
from typing import NamedTuple, Optional

#: A control character that nobody prints at the beginning, and a word in case somebody does.
MARK = b"\x1ecomfy-env log "
#: Longer texts are cut: somebody logged an array.
MAX_CHARACTERS = 16_000
#: More than such a line can have: every character escaped.
MAX_LINE_BYTES = 8 * MAX_CHARACTERS


class LogLine(NamedTuple):
    """What was logged; `level` as in `logging`."""

    level: int
    logger: str
    text: str


def pack_line(line: LogLine) -> bytes:
    """The bytes to print, line end included."""
    text = line.text
    if len(text) > MAX_CHARACTERS:
        text = f"{text[:MAX_CHARACTERS]}… ({len(text) - MAX_CHARACTERS} characters more)"
    content = json.dumps([line.level, line.logger, text], ensure_ascii=False)
    return MARK + content.encode("utf-8", "backslashreplace") + b"\n"


def unpack_line(content: bytes) -> Optional[LogLine]:
    """What `pack_line` gave, without MARK and line end; None if another's output got in between."""
    try:
        level, logger, text = json.loads(content.decode("utf-8", "backslashreplace"))
    except (ValueError, TypeError):
        return None
    if type(level) is int and type(logger) is str and type(text) is str:
        return LogLine(level, logger, text)
    return None
