"""Plain TOML values with the type they should have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .keys import KeyPath, dotted

if TYPE_CHECKING:  # documents read TOML and show its slips, with the words of this module
    from .document import Document


def kind(value: Any) -> str:
    """What a value is, in the words of TOML."""
    for types, name in (
        (bool, "a boolean"),
        (str, "a string"),
        (int, "a number"),
        (float, "a number"),
        (list, "a list"),
        (dict, "a table"),
    ):
        if isinstance(value, types):
            return name
    return "a date or time"


def table(document: Document, key: KeyPath, value: Any) -> Mapping[str, Any]:
    """The value if it is a table; ConfigError otherwise."""
    if isinstance(value, dict):
        return value
    problem = f"this should be a table, but is {kind(value)}, {value!r}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        raise document.error(key, problem, f"Write it with single brackets: [{dotted(key)}]")
    raise document.error(
        key, problem, f"Write it as a section: [{dotted(key)}] on a line of its own, its keys below"
    )


def strings(document: Document, key: KeyPath, value: Any) -> tuple[str, ...]:
    """The value if it is a list of texts that are not empty; ConfigError otherwise."""
    name = key[-1]
    if not isinstance(value, list):
        example = value if isinstance(value, str) else "name"
        problem = f"this should be a list of strings, but is {kind(value)}, {value!r}"
        raise document.error(key, problem, f'Write {name} = ["{example}"]')
    for item in value:
        if not isinstance(item, str) or not item.strip():
            problem = f"every item should be a string that is not empty, but one is {kind(item)}, {item!r}"
            raise document.error(key, problem, f'Write {name} = ["first", "second"]')
    return tuple(value)


def inline(value: Any) -> str:
    """A value as TOML on one line, for messages."""
    if isinstance(value, Mapping):
        return (
            "{ " + ", ".join(f"{dotted((name,))} = {inline(inner)}" for name, inner in value.items()) + " }"
        )
    if isinstance(value, list):
        return f"[{', '.join(map(inline, value))}]"
    return json.dumps(value, default=str, ensure_ascii=False)
