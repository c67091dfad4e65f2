"""What a payload may consist of, and what must be true of one before anything is made of it.

The parts of a received payload may be any value, so a `range` of a million million numbers may stand where a
list belongs. Every check here looks at the type before the content, and costs no more than what arrived.
"""

from __future__ import annotations

import enum
import pathlib
from typing import Any

MAX_PLAIN_DEPTH = 4
MAX_PLAIN_ITEMS = 100
_SCALARS = frozenset({type(None), bool, int, float, complex, str, bytes})


def is_plain(value: Any, depth: int = 0) -> bool:
    """Whether a value is small, and made of nothing but scalars, paths, enum members and builtin containers."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if depth < MAX_PLAIN_DEPTH and kind in (tuple, list, set, frozenset, dict):
        if len(value) > MAX_PLAIN_ITEMS:
            return False
        parts = [part for item in value.items() for part in item] if kind is dict else value
        return all(is_plain(part, depth + 1) for part in parts)
    if isinstance(value, enum.Enum):
        return depth <= MAX_PLAIN_DEPTH and is_plain(value._value_, depth + 1)
    return isinstance(value, pathlib.PurePath)


def as_list(payload: Any, length: int | None = None) -> list[Any]:
    """The payload, if it is a list (of that length). Raises TypeError or ValueError."""
    if type(payload) is not list:
        raise TypeError(f"a list belongs here, not a {type(payload).__name__}")
    if length is not None and len(payload) != length:
        raise ValueError(f"a list of {length} belongs here, not of {len(payload)}")
    return payload


def as_pairs(payload: Any) -> list[list[Any]]:
    """The payload, if it is a list of lists of two. Raises TypeError or ValueError."""
    return [as_list(pair, 2) for pair in as_list(payload)]


def as_integers(payload: Any, length: int | None = None) -> list[int]:
    """The payload, if it is a list of integers. Raises TypeError or ValueError."""
    return [as_integer(number) for number in as_list(payload, length)]


def as_integer(payload: Any) -> int:
    """The payload, if it is an integer and no bool. Raises TypeError."""
    if type(payload) is not int:
        raise TypeError(f"an integer belongs here, not a {type(payload).__name__}")
    return payload


def as_text(payload: Any) -> str:
    """The payload, if it is a str. Raises TypeError."""
    if type(payload) is not str:
        raise TypeError(f"a text belongs here, not a {type(payload).__name__}")
    return payload


def as_attributes(payload: Any) -> dict[str, Any]:
    """The payload, if it is a dict with texts for keys. Raises TypeError."""
    if type(payload) is not dict:
        raise TypeError(f"a dict belongs here, not a {type(payload).__name__}")
    for name in payload:
        as_text(name)
    return payload


def as_bytes(payload: Any) -> bytes | bytearray | memoryview:
    """The payload, if it is bytes of some kind. Raises TypeError."""
    if not isinstance(payload, (bytes, bytearray, memoryview)):
        raise TypeError(f"bytes belong here, not a {type(payload).__name__}")
    return payload


def as_writable(payload: Any) -> memoryview:
    """Bytes of some kind as a writable view; copied only if they are not writable. Raises TypeError."""
    content = as_bytes(payload)
    if isinstance(content, memoryview) and not content.readonly:
        return content
    return memoryview(bytearray(content))
