"""A TOML file that was read: its values, and errors that know their line."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import toml_slips
from .errors import ConfigError, ConfigWarning
from .key_lines import key_lines
from .keys import KeyPath, dotted

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_ERROR_LINE = re.compile(r"\(at line (\d+)")
_ENDLESS_NUMBER = re.compile(r"\d[\d_]{4000,}")
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class Place:
    """Where something stands in a file: its key there, and its line from 1 (None where that is not known)."""

    key: KeyPath
    line: int | None


@dataclass(frozen=True)
class Document:
    """`tables` is what TOML makes of `source`; a key is addressed by its path, ("target", "win-64", "dependencies").

    `origins` is for a file of an older form, whose `tables` are converted: key today → where the file has it.
    Values are `Any` throughout this room until a reader has checked them: TOML lets a file put anything anywhere.
    """

    path: Path
    source: bytes
    text: str
    tables: Mapping[str, Any]
    origins: Mapping[KeyPath, Place] = field(default_factory=dict)

    def place(self, key: KeyPath) -> Place:
        """Where the key stands in the file, under whichever name it has there."""
        for length in range(len(key), 0, -1):
            if origin := self.origins.get(key[:length]):
                return origin
        return Place(key, self.line_of(key))

    def line_of(self, key: KeyPath) -> int | None:
        """The line of a key of the file, or of the nearest key around it."""
        for length in range(len(key), 0, -1):
            if key[:length] in self._lines:
                return self._lines[key[:length]]
        return None

    def written_value(self, key: KeyPath) -> str | None:
        """A number as it stands in the file, where TOML's 3.1 was written 3.10; None if it does not follow its key."""
        line = self._lines.get(self.place(key).key)
        if line is None:
            return None
        _, *values = self.text.split("\n")[line - 1].partition("#")[0].split("=")
        return values[0].strip() if len(values) == 1 else None

    @functools.cached_property
    def _lines(self) -> Mapping[KeyPath, int]:
        """Found when something has to be told of; most files are read without."""
        return key_lines(self.text)

    def error(self, key: KeyPath, problem: str, remedy: str) -> ConfigError:
        return self.error_at(self.place(key), problem, remedy)

    def error_at(self, place: Place, problem: str, remedy: str) -> ConfigError:
        return ConfigError(self.path, dotted(place.key), place.line, problem, remedy)

    def warning(self, key: KeyPath, problem: str, remedy: str) -> ConfigWarning:
        return self.warning_at(self.place(key), problem, remedy)

    def warning_at(self, place: Place, problem: str, remedy: str) -> ConfigWarning:
        return ConfigWarning(self.path, dotted(place.key), place.line, problem, remedy)


def read_document(source: bytes, path: Path) -> Document:
    """The parsed file. A UTF-8 byte order mark and CRLF line ends are accepted, as editors on Windows write them.

    Raises ConfigError for what is not UTF-8 and for what is not TOML, with the line.
    """
    text = _decode(source, path).replace("\r\n", "\n")
    try:
        return Document(path, source, text, tomllib.loads(text))
    except RecursionError:
        raise ConfigError(
            path, None, None, "its brackets are nested too deeply to be read", "Write it with fewer levels"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(error, text, path) from None
    except ValueError as error:  # what int() says to a number of more than 4300 digits
        match = _ENDLESS_NUMBER.search(text)
        line = text.count("\n", 0, match.start()) + 1 if match else None
        raise ConfigError(path, None, line, f"a number cannot be read: {error}", "Shorten it") from None


def _decode(source: bytes, path: Path) -> str:
    if source.startswith(_UTF16_BOMS):
        raise ConfigError(path, None, 1, "the file is UTF-16, but TOML is UTF-8", "Save it again as UTF-8")
    try:
        return source.removeprefix(_UTF8_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        problem = f"byte 0x{source[error.start]:02x} is not UTF-8, but TOML is"
        raise ConfigError(path, None, line, problem, "Save the file again as UTF-8") from None


def _syntax_error(error: ValueError, text: str, path: Path) -> ConfigError:
    match = _ERROR_LINE.search(str(error))  # before Python 3.14 only the message tells the line
    lines = text.split("\n")
    line = int(match.group(1)) if match else len(text.rstrip("\n").split("\n"))
    reason = re.sub(r"\s*\(at .*\)$", "", str(error))
    written = lines[line - 1].strip()[:_SHOWN_CHARACTERS] if line <= len(lines) else ""
    problem = f"this is not TOML: {reason}" + (f", in {written!r}" if written else "")
    return ConfigError(path, None, line, problem, toml_slips.remedy(lines, line))
