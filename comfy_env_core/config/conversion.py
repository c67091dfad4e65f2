"""Today's file growing out of an older one: values in their new places, each knowing the line it came from."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterable, Sequence
from typing import Any

from .document import Document, Place
from .errors import ConfigWarning
from .keys import KeyPath, dotted
from .markers import UnknownMarker, selectors
from .requirement_lines import NotARequirement, read_line
from .values import inline, kind

_SHOWN = 3


class Conversion:
    """Takes sections out of a document's tables and writes what they mean back as today's.

    Values are `Any` as TOML gave them; whoever reads the converted document checks them, and its errors name the old
    key and line.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.warnings: list[ConfigWarning] = []
        self._tables: dict[str, Any] = copy.deepcopy(dict(document.tables))
        self._origins: dict[KeyPath, Place] = {}
        self._written: list[KeyPath] = []

    def converted(self) -> Document:
        return dataclasses.replace(self.document, tables=self._tables, origins=self._origins)

    def take(self, section: str) -> Any:
        """The section, which is not in the result unless it is written there again."""
        return self._tables.pop(section)

    def put(self, key: KeyPath, value: Any, origin: Place) -> None:
        """Writes one value. ConfigError where another value stands already; PyPI's ranges are joined instead."""
        *path, name = key
        table = self._table(path, origin)
        self._written.append(key)
        if name not in table:
            table[name] = value
            self._origins[key] = origin
            return
        present = table[name]
        if present == value or value == "*":
            return
        is_range = path[-1:] == ["pypi-dependencies"] and isinstance(present, str) and isinstance(value, str)
        if not is_range:
            problem = f"{dotted(key)} is asked for twice, as {value!r} here and as {present!r} elsewhere"
            raise self.document.error_at(origin, problem, "Keep one of the two")
        table[name] = value if present == "*" else f"{present},{value}"

    def extend(self, key: KeyPath, items: Iterable[Any], origin: Place) -> None:
        """Adds to a list what it does not hold yet."""
        *path, name = key
        table = self._table(path, origin)
        present = table.setdefault(name, [])
        if not isinstance(present, list):
            problem = f"{dotted(key)} should be a list of strings, but is {kind(present)}, {present!r}"
            raise self.document.error_at(
                self.document.place(key), problem, f"Write {name} = [{json.dumps(present)}]"
            )
        self._origins.setdefault(key, origin)
        self._written.append(key)
        present += [item for item in items if item not in present]

    def require(self, text: Any, place: Place, prefix: KeyPath = ()) -> None:
        """Writes one requirement line of pip's under [pypi-dependencies], of the platforms its marker names.

        `prefix`: ("target", "linux") for a line that is meant for one platform as it stands.
        """
        if not isinstance(text, str):
            problem = f"a requirement should be a string, but one is {kind(text)}, {text!r}"
            raise self.document.error_at(place, problem, 'Write it as in requirements.txt, "name>=1.2"')
        try:
            line = read_line(text)
            python = self._tables.get("python")
            targets = (
                selectors(line.marker, python if isinstance(python, str) else None) if line.marker else ("",)
            )
        except NotARequirement as error:
            remedy = 'Write packages under [pypi-dependencies], one a line: name = ">=1.2"'
            raise self.document.error_at(place, f"{text!r} {error}", remedy) from None
        except UnknownMarker as error:
            problem = f"the marker of {text!r} cannot become a section: {error}"
            remedy = (
                "Write the package under [pypi-dependencies], or under [target.<platform>.pypi-dependencies]"
            )
            raise self.document.error_at(place, problem, remedy) from None
        for target in targets:
            chosen = ("target", target) if target else prefix
            self.put((*chosen, "pypi-dependencies", line.name), line.requirement, place)
        if not targets:
            self.no_effect(place, f"{text!r} applies to no platform and has no effect", "Remove it")

    def place_of_item(self, key: KeyPath, item: Any) -> Place:
        """Where one item of a list stands, if it is a text that the file holds as it is."""
        place = self.document.place(key)
        if not isinstance(item, str) or place.line is None:
            return place
        lines = self.document.text.split("\n")
        below = range(place.line, len(lines) + 1)
        line = next(
            (
                number
                for number in below
                if f'"{item}"' in lines[number - 1] or f"'{item}'" in lines[number - 1]
            ),
            place.line,
        )
        return Place(place.key, line)

    def no_effect(self, origin: Place, problem: str, remedy: str) -> None:
        self.warnings.append(self.document.warning_at(origin, problem, remedy))

    def tell(self, section: KeyPath, meaning: str) -> None:
        """Warns of what was converted since the last telling, in its new spelling."""
        spelling = self._spelling()
        self._written = []
        if spelling:
            self.warnings.append(
                self.document.warning(section, meaning, f"Write it as today's files do: {spelling}")
            )

    def _table(self, path: Sequence[str], origin: Place) -> dict[str, Any]:
        table = self._tables
        for depth, part in enumerate(path):
            inner = table.setdefault(part, {})
            if not isinstance(inner, dict):
                problem = (
                    f"{dotted(tuple(path[: depth + 1]))} should be a table, but is {kind(inner)}, {inner!r}"
                )
                raise self.document.error_at(
                    origin, problem, f"Write it as a section, [{dotted(tuple(path))}]"
                )
            table = inner
        return table

    def _spelling(self) -> str:
        """What was written, as TOML on one line, each section shortened to its first keys."""
        sections: dict[KeyPath, list[str]] = {}
        for key in dict.fromkeys(self._written):
            value: Any = self._tables
            for part in key:
                value = value[part]
            sections.setdefault(key[:-1], []).append(f"{dotted(key[-1:])} = {inline(value)}")
        return "; ".join(
            (f"[{dotted(section)}] " if section else "") + ", ".join(lines[:_SHOWN]) + _more(lines)
            for section, lines in sections.items()
        )


def _more(items: Sequence[Any]) -> str:
    return ", and so on" if len(items) > _SHOWN else ""
