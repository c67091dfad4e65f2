"""The line on which each key of a TOML text stands, which the TOML parsers of Python do not tell."""

from __future__ import annotations

import re

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY_PART = re.compile(r"""[ \t]*("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*""")
# A closing run may hold up to five quotes: two of them then belong to the string (TOML 1.0, "String").
_VALUE_TOKEN = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*|[\[\]{}\n]|[^"'#\[\]{}\n]+''',
    re.DOTALL,
)


def key_lines(text: str) -> dict[tuple[str, ...], int]:
    """The first line (from 1) of every key and table of a valid TOML text, by its path.

    Keys inside inline tables are not told apart: they stand on, or shortly after, the line of the key that holds
    them, so a caller looks for the longest known beginning of its path. Where the text stops making sense to this
    scanner it returns what it has: it serves error messages and must not make errors of its own.
    """
    lines: dict[tuple[str, ...], int] = {}
    section: tuple[str, ...] = ()
    position, line, counted_to = 0, 1, 0
    while True:
        position = _end(_BLANK.match(text, position), position)
        line += text.count("\n", counted_to, position)
        counted_to = position
        is_header = text.startswith("[", position)
        brackets = 2 if text.startswith("[[", position) else int(is_header)
        key, position = _dotted_key(text, position + brackets)
        if not key:
            return lines
        if is_header:
            section = key
        path = key if is_header else section + key
        for length in range(1, len(path) + 1):
            lines.setdefault(path[:length], line)
        position = _after_value(text, position + (brackets or 1))


def _end(match: re.Match[str] | None, otherwise: int) -> int:
    return match.end() if match else otherwise


def _dotted_key(text: str, position: int) -> tuple[tuple[str, ...], int]:
    """The parts of the key at `position` and the position behind it; no parts where there is no key."""
    parts: list[str] = []
    while match := _KEY_PART.match(text, position):
        part = match.group(1)
        parts.append(part[1:-1] if part[0] in "\"'" else part)
        position = match.end()
        if not text.startswith(".", position):
            break
        position += 1
    return tuple(parts), position


def _after_value(text: str, position: int) -> int:
    """The position of the newline that ends the value starting at `position` (or of the end of the text)."""
    depth = 0
    while match := _VALUE_TOKEN.match(text, position):
        token = match.group()
        if token == "\n" and depth == 0:
            break
        depth += (token in ("[", "{")) - (token in ("]", "}"))
        position = match.end()
    return position
