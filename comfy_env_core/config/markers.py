"""On which platforms an environment marker of PyPI holds: `sys_platform == "win32"` is pixi's `[target.win]`.

Source: the dependency specifiers of PyPA (PEP 508), "Environment Markers"; variables that no platform decides
(`platform_release`, `extra`) cannot become a section and are refused.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

_PLATFORMS: Mapping[str, Mapping[str, str]] = {
    name: {"sys_platform": system, "platform_system": title, "os_name": family, "platform_machine": machine}
    for name, system, title, family, machine in (
        ("linux-64", "linux", "Linux", "posix", "x86_64"),
        ("linux-aarch64", "linux", "Linux", "posix", "aarch64"),
        ("osx-64", "darwin", "Darwin", "posix", "x86_64"),
        ("osx-arm64", "darwin", "Darwin", "posix", "arm64"),
        ("win-64", "win32", "Windows", "nt", "AMD64"),
    )
}
_IMPLEMENTATION = {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
#: The general selector that stands for all of these platforms together.
_GROUPS = (("linux", "linux-64", "linux-aarch64"), ("osx", "osx-64", "osx-arm64"), ("win", "win-64"))

_TOKEN = re.compile(r"\s*(\(|\)|===|==|!=|~=|<=|>=|<|>|'[^']*'|\"[^\"]*\"|[A-Za-z_]+)")
_VERSION = re.compile(r"\d+(\.\d+)*")
_VERSION_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class UnknownMarker(Exception):
    """The marker cannot be decided; the message says why, to follow a colon."""


def selectors(marker: str, python: str | None) -> tuple[str, ...]:
    """The `[target]` sections that stand for the marker: ("",) where it holds everywhere, () where it holds nowhere.

    `python`: the minor version that the file names ("3.10"), None where it leaves that open. Raises UnknownMarker.
    """
    python_version = python if python is not None and re.fullmatch(r"3\.\d+", python) else None
    holding = [
        name
        for name, facts in _PLATFORMS.items()
        if _Marker(marker, {**facts, **_IMPLEMENTATION}, python_version).holds()
    ]
    if len(holding) == len(_PLATFORMS):
        return ("",)
    found: list[str] = []
    for group, *members in _GROUPS:
        if set(members) <= set(holding):
            found.append(group)
        else:
            found += [name for name in members if name in holding]
    return tuple(found)


class _Marker:
    """One marker read for one platform."""

    def __init__(self, text: str, facts: Mapping[str, str], python: str | None) -> None:
        self._facts = facts
        self._python = python
        self._tokens: list[str] = []
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                raise UnknownMarker(f"{text[position:].strip()!r} is not part of a marker")
            self._tokens.append(match[1])
            position = match.end()

    def holds(self) -> bool:
        value = self._any()
        if self._tokens:
            raise UnknownMarker(f"{self._tokens[0]!r} does not belong there")
        return value

    def _any(self) -> bool:
        value = self._all()
        while self._tokens[:1] == ["or"]:
            self._next()
            value = self._all() or value
        return value

    def _all(self) -> bool:
        value = self._one()
        while self._tokens[:1] == ["and"]:
            self._next()
            value = self._one() and value
        return value

    def _one(self) -> bool:
        if self._tokens[:1] == ["("]:
            self._next()
            value = self._any()
            if self._next() != ")":
                raise UnknownMarker("a parenthesis is not closed")
            return value
        left, comparison = self._next(), self._next()
        if comparison == "not" and self._tokens[:1] == ["in"]:
            comparison = f"not {self._next()}"
        return self._compare(left, comparison, self._next())

    def _next(self) -> str:
        if not self._tokens:
            raise UnknownMarker("it ends too early")
        return self._tokens.pop(0)

    def _compare(self, left: str, comparison: str, right: str) -> bool:
        if "python_version" in (left, right):
            return self._compare_python(left, comparison, right)
        one, other = self._value(left), self._value(right)
        if comparison in ("in", "not in"):
            return (one in other) == (comparison == "in")
        if comparison in ("==", "===", "!="):
            return (one == other) == (comparison != "!=")
        raise UnknownMarker(f"{comparison!r} does not compare {left} and {right}")

    def _compare_python(self, left: str, comparison: str, right: str) -> bool:
        if self._python is None:
            raise UnknownMarker("it asks for the Python version, which the file leaves open")
        one, other = (self._python if text == "python_version" else text[1:-1] for text in (left, right))
        if comparison not in _VERSION_COMPARISONS or not (
            _VERSION.fullmatch(one) and _VERSION.fullmatch(other)
        ):
            raise UnknownMarker(f"{comparison!r} does not compare {left} and {right}")
        return _VERSION_COMPARISONS[comparison](_numbers(one), _numbers(other))

    def _value(self, token: str) -> str:
        if token[0] in "'\"":
            return token[1:-1]
        if token not in self._facts:
            raise UnknownMarker(f"{token!r} is not decided by the platform")
        return self._facts[token]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
