"""Shapes that the value of a key may have: small checks, put together to describe whole tables.

A check gets the document, the key and its value, and raises ConfigError for a value of another shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from .document import Document
from .keys import KeyPath
from .values import kind, strings, table

Check = Callable[[Document, KeyPath, Any], None]


def text(document: Document, key: KeyPath, value: Any) -> None:
    """A string that is not empty."""
    if not isinstance(value, str) or not value:
        written = document.written_value(key) if isinstance(value, int | float) else None
        example = f'"{written or "…"}"'
        problem = f"this should be a string, but is {kind(value)}, {value!r}"
        if value == "":
            problem = "this should be a string that is not empty"
        raise document.error(key, problem, f"Write {key[-1]} = {example}")


def any_text(document: Document, key: KeyPath, value: Any) -> None:
    """A string, be it empty."""
    if value != "":
        text(document, key, value)


def url(document: Document, key: KeyPath, value: Any) -> None:
    """An address with its scheme; names of indexes are uv's."""
    text(document, key, value)
    if "://" not in value:
        raise document.error(
            key, f"{value!r} is not the address of an index", 'Write it in full, "https://…/simple"'
        )


def version(document: Document, key: KeyPath, value: Any) -> None:
    """A version: a string, or a number as long as TOML does not shorten it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        text(document, key, value)
    elif document.written_value(key) not in (None, str(value)):
        written = document.written_value(key)
        problem = f"{written} without quotes is a number, which TOML reads as {value!r}"
        raise document.error(key, problem, f'Write {key[-1]} = "{written}"')


def boolean(document: Document, key: KeyPath, value: Any) -> None:
    if not isinstance(value, bool):
        problem = f"this should be true or false, but is {kind(value)}, {value!r}"
        raise document.error(key, problem, f"Write {key[-1]} = true, without quotes")


def whole_number(document: Document, key: KeyPath, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        problem = f"this should be a whole number, but is {kind(value)}, {value!r}"
        raise document.error(key, problem, f"Write {key[-1]} = 1")


def texts(document: Document, key: KeyPath, value: Any) -> None:
    strings(document, key, value)


def moment(document: Document, key: KeyPath, value: Any) -> None:
    """A date, a time with its zone, or a span such as "7d"; in quotes, since pixi takes no dates of TOML's."""
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return
    example = value.isoformat() if hasattr(value, "isoformat") else "2025-06-01"
    problem = f'this should be a date in quotes, or a span such as "7d", but is {kind(value)}, {value!r}'
    raise document.error(key, problem, f'Write {key[-1]} = "{example}"')


_MOMENT = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})|\d{4}-\d{2}-\d{2}|(\d+\s*[A-Za-z]+\s*)+"
)


def one_of(*words: str) -> Check:
    def check(document: Document, key: KeyPath, value: Any) -> None:
        if value not in words:
            close = get_close_matches(str(value), words, n=1)
            problem = f"{value!r} is not one of {', '.join(map(repr, words))}"
            raise document.error(key, problem, f'Write {key[-1]} = "{close[0] if close else words[0]}"')

    return check


def one_kind(*alternatives: tuple[type, Check]) -> Check:
    """Several shapes that differ in the type of the value; the first stands for a value of no such type."""

    def check(document: Document, key: KeyPath, value: Any) -> None:
        chosen = next(
            (then for expected, then in alternatives if isinstance(value, expected)), alternatives[0][1]
        )
        chosen(document, key, value)

    return check


def each(inner: Check) -> Check:
    """A list, every item of which has one shape; an item is addressed by the key of the list."""

    def check(document: Document, key: KeyPath, value: Any) -> None:
        if not isinstance(value, list):
            texts(document, key, value)
        for item in value:
            inner(document, key, item)

    return check


def table_of(inner: Check) -> Check:
    """A table with names of the author's own."""

    def check(document: Document, key: KeyPath, value: Any) -> None:
        for name, content in table(document, key, value).items():
            inner(document, (*key, name), content)

    return check


def fields(known: Mapping[str, Check], required: tuple[str, ...] = ()) -> Check:
    """A table with these keys and no others."""

    def check(document: Document, key: KeyPath, value: Any) -> None:
        for name, content in table(document, key, value).items():
            if name not in known:
                close = get_close_matches(name.lower().replace("_", "-"), list(known), n=1, cutoff=0.7)
                remedy = f"Did you mean {close[0]!r}? Rename it" if close else f"Known are {', '.join(known)}"
                raise document.error((*key, name), f"{name!r} has no meaning here", remedy)
            known[name](document, (*key, name), content)
        for name in required:
            if name not in value:
                raise document.error(
                    key, f"{name!r} is missing here", f'Write {key[-1]} = {{ {name} = "…" }}'
                )

    return check
