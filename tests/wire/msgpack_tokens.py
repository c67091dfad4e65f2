"""Where the values of a piece of msgpack begin and end, also inside extensions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Enclosure(NamedTuple):
    """An extension around a value: its own bytes, those of its content, its code."""

    start: int
    content_start: int
    content_end: int
    code: int


class Token(NamedTuple):
    """One value: where it begins, where its header ends, where it ends, and what stands around it, outermost first."""

    start: int
    header_end: int
    end: int
    around: tuple[Enclosure, ...]


# First byte -> (bytes of the header, bytes of the value). Scalars, and what has a length in its header.
FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
FIXED.update({0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8})
TEXTS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}
FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
CONTAINERS = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}


def scan(body: bytes, start: int, end: int, raw_codes: Mapping[int, int | None]) -> list[Token]:
    """Every value between `start` and `end`, containers before their elements; stops where the bytes make no sense.

    `raw_codes`: codes whose content is not msgpack -> how many bytes stand before the msgpack in it, None if none is.
    """
    found: list[Token] = []
    scanner = _Scanner(body, raw_codes, found)
    try:
        position = start
        while position < end:
            position = scanner.value(position, end, ())
    except (_Nonsense, RecursionError):
        pass
    return found


class _Nonsense(Exception):
    """The bytes are no msgpack."""


class _Scanner:
    def __init__(self, body: bytes, raw_codes: Mapping[int, int | None], found: list[Token]) -> None:
        self._body = body
        self._raw_codes = raw_codes
        self._found = found

    def value(self, start: int, end: int, around: tuple[Enclosure, ...]) -> int:
        """Note the value at `start` and what is in it; where it ends."""
        if start >= end:
            raise _Nonsense
        place = len(self._found)
        first = self._body[start]
        header_end, count, size = self._header(start, first)
        stop = header_end + size
        if stop > end or count > end - start:
            raise _Nonsense
        self._found.append(Token(start, header_end, stop, around))
        if first in EXTENSIONS or first in FIXED_EXTENSIONS:
            code = self._body[header_end - 1]
            before = self._raw_codes.get(code, 0)
            if before is not None:
                self._inside(Enclosure(start, header_end, stop, code), before, around)
        for _ in range(count):
            stop = self.value(stop, end, around)
        self._found[place] = Token(start, header_end, stop, around)
        return stop

    def _inside(self, enclosure: Enclosure, before: int, around: tuple[Enclosure, ...]) -> None:
        known = len(self._found)
        position = enclosure.content_start + before
        try:
            while position < enclosure.content_end:
                position = self.value(position, enclosure.content_end, (*around, enclosure))
        except _Nonsense:
            del self._found[known:]

    def _header(self, start: int, first: int) -> tuple[int, int, int]:
        """(end of the header, elements that follow, bytes that follow)."""
        after = start + 1
        if first <= 0x7F or first >= 0xE0:
            return after, 0, 0
        if first <= 0x9F:
            return after, (first & 0x0F) * (2 if first <= 0x8F else 1), 0
        if first <= 0xBF:
            return after, 0, first & 0x1F
        if first in FIXED:
            return after, 0, FIXED[first]
        if first in TEXTS:
            width = TEXTS[first]
            return after + width, 0, self._number(after, width)
        if first in EXTENSIONS:
            width = EXTENSIONS[first]
            return after + width + 1, 0, self._number(after, width)
        if first in FIXED_EXTENSIONS:
            return after + 1, 0, FIXED_EXTENSIONS[first]
        if first in CONTAINERS:
            width, per_element = CONTAINERS[first]
            return after + width, self._number(after, width) * per_element, 0
        raise _Nonsense

    def _number(self, start: int, width: int) -> int:
        piece = self._body[start : start + width]
        if len(piece) < width:
            raise _Nonsense
        return int.from_bytes(piece, "big")


def codes(body: bytes, tokens: Iterable[Token]) -> set[int]:
    """The codes of the extensions among the tokens."""
    first_bytes = EXTENSIONS.keys() | FIXED_EXTENSIONS.keys()
    return {body[token.header_end - 1] for token in tokens if body[token.start] in first_bytes}
