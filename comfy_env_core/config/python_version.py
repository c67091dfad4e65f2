"""Which Python a file asks for: "3.10", "3.10.13" or a range such as ">=3.10,<3.12"."""

from __future__ import annotations

import re
from typing import Any

from .document import Document
from .keys import KeyPath
from .values import kind

OLDEST_MINOR = 9  # the worker that runs inside every environment needs Python 3.9
# Far beyond any release: above it is a slip of the pen. What exists below is for the package index to say.
NEWEST_MINOR = 30
_LAST_PATCH = 30

_CLAUSE = re.compile(r"(==|!=|~=|<=|>=|<|>|=)?\s*(\d+(?:\.\d+){0,2})(\.\*)?")
_DOTLESS = re.compile(r"3(\d{1,2})")
_EXAMPLE = 'python = "3.11"'

_Clause = tuple[str, tuple[int, ...], bool]  # operator ("" for none), version, ends in ".*"


def read_python(document: Document, key: KeyPath, value: Any) -> str | None:
    """The Python asked for, None for any ("*").

    One minor version comes back as "3.10" however it was written ("3.10.*", "==3.10", "=3.10"), one patch release as
    "3.10.13", anything else as a range with its blanks removed. ConfigError when no Python can satisfy it.
    """
    if isinstance(value, float):
        written = document.written_value(key) or str(value)
        problem = f"{written} without quotes is a number, which TOML reads as {value!r}"
        raise document.error(key, problem, f'Write python = "{written}"')
    if not isinstance(value, str):
        problem = f"the Python version should be a string, but is {kind(value)}, {value!r}"
        raise document.error(key, problem, f"Write a version in quotes, for instance {_EXAMPLE}")
    if value.strip() == "*":
        return None
    clauses = _clauses(document, key, value)
    if not any(_satisfies(clauses, minor, patch) for minor in _minors() for patch in range(_LAST_PATCH)):
        raise _impossible(document, key, value, clauses)
    return _normalised(clauses)


def _minors() -> range:
    return range(OLDEST_MINOR, NEWEST_MINOR + 1)


def _clauses(document: Document, key: KeyPath, text: str) -> tuple[_Clause, ...]:
    clauses: list[_Clause] = []
    for part in text.split(","):
        match = _CLAUSE.fullmatch(part.strip())
        if match is None:
            remedy = f'Write a version or a range, for instance {_EXAMPLE} or python = ">=3.10,<3.13"'
            raise document.error(key, f"{text!r} is not a Python version", remedy)
        operator, version, any_suffix = match.groups()
        clauses.append((operator or "", tuple(int(part) for part in version.split(".")), bool(any_suffix)))
    if len(clauses) == 1:
        _check_single(document, key, text, clauses[0])
    return tuple(clauses)


def _check_single(document: Document, key: KeyPath, text: str, clause: _Clause) -> None:
    """ConfigError for a lone "3", which engines read differently, and for "310", which is 3.10 without its dot."""
    operator, version, is_open = clause
    if operator not in ("", "=", "==") or len(version) > 1 or is_open:
        return
    if match := _DOTLESS.fullmatch(text.strip()):
        raise document.error(key, f"there is no Python {text}", f'Write python = "3.{match.group(1)}"')
    raise document.error(
        key, f"{text!r} names no minor version", f"Write it in full, for instance {_EXAMPLE}"
    )


def _impossible(document: Document, key: KeyPath, text: str, clauses: tuple[_Clause, ...]) -> Exception:
    remedy = f"Ask for Python 3.{OLDEST_MINOR} or newer, for instance {_EXAMPLE}"
    operator, version, _ = clauses[0]
    if len(clauses) > 1 or operator not in ("", "=", "=="):
        return document.error(key, f"no Python that can run nodes satisfies {text!r}", remedy)
    if version < (3, OLDEST_MINOR):
        problem = f"Python {text} is too old to run nodes in an environment of their own"
        return document.error(key, problem, remedy)
    return document.error(key, f"there is no Python {text}", remedy)


def _satisfies(clauses: tuple[_Clause, ...], minor: int, patch: int) -> bool:
    return all(_accepts(clause, (3, minor, patch)) for clause in clauses)


def _accepts(clause: _Clause, candidate: tuple[int, int, int]) -> bool:
    operator, version, _ = clause
    full = version + (0,) * (3 - len(version))
    if operator in ("", "=", "=="):
        return candidate[: len(version)] == version
    if operator == "!=":
        return candidate[: len(version)] != version
    if operator == "~=":
        return candidate >= full and candidate[: len(version) - 1] == version[:-1]
    if operator in (">=", ">"):
        return candidate >= full if operator == ">=" else candidate > full
    return candidate <= full if operator == "<=" else candidate < full


def _normalised(clauses: tuple[_Clause, ...]) -> str:
    operator, version, _ = clauses[0]
    if len(clauses) == 1 and operator in ("", "=", "=="):
        # "==3.10" is 3.10.0 to the letter and the 3.10 series to everyone who writes it.
        return _dots(version) + (".*" if len(version) == 1 else "")
    return ",".join(_range_clause(clause) for clause in clauses)


def _range_clause(clause: _Clause) -> str:
    """The clause in the spelling that conda and PyPI share, where only == and != may end in ".*"."""
    operator, version, is_open = clause
    if operator in ("", "=", "==", "!="):
        is_open = is_open or (len(version) < 3 and operator != "!=")
        return ("!=" if operator == "!=" else "==") + _dots(version) + (".*" if is_open else "")
    return operator + _dots(version)


def _dots(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
