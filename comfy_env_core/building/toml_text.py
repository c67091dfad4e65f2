"""Plain values as TOML text: just what a manifest needs. Reading is `tomllib`'s affair.

A writer of our own because no library that we may depend on writes TOML; `tests/building` holds it against `tomllib`.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def toml_key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else toml_string(name)


def toml_string(text: str) -> str:
    """A basic string. Raises ValueError for lone surrogates, which no TOML file can hold."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"Text with a lone surrogate cannot be written as TOML: {text!r}.")
    return '"' + "".join(map(_escape, text)) + '"'


def toml_value(value: Any) -> str:
    """One line of TOML for what `tomllib` can return. Raises TypeError for anything else (None, bytes, …).

    Any: TOML values nest without end.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return toml_string(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        fields = ", ".join(f"{toml_key(str(key))} = {toml_value(field)}" for key, field in value.items())
        return f"{{ {fields} }}" if fields else "{}"
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    raise TypeError(f"TOML has no value for {type(value).__name__} {value!r}.")


def toml_comment(text: str) -> str:
    """Lines of comment. Control characters, which TOML forbids there, become question marks."""
    cleaned = re.sub(r"[^\S\n ]|[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff]", "?", text)
    return "\n".join(f"# {line}".rstrip() for line in cleaned.split("\n"))


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return f"\\u{ord(character):04X}" if ord(character) < 0x20 or ord(character) == 0x7F else character


def _float(value: float) -> str:
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    text = repr(value)
    return text if "." in text or "e" in text else f"{text}.0"
