"""`comfy-env.lock` as text: TOML, sorted, one line per fact, so that a diff shows what an update changes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from comfy_env_core.building.locks.model import (
    CondaPackage,
    IndexedFile,
    Lock,
    LockedEnvironment,
    PypiPackage,
)
from comfy_env_core.building.toml_text import toml_key, toml_string, toml_value
from comfy_env_core.config import ConfigError
from comfy_env_core.config.document import Document, read_document

VERSION = 1
_REMEDY = "Make it again: python -m comfy_env_core lock"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HEAD = """\
# The exact packages of the comfy-env.toml beside this file, for each platform. Commit both; do not edit this one.
# Made by: python -m comfy_env_core lock
"""
#: The keys of a repodata record that an installation needs, in the order in which they are written, and their types.
RECORD_KEYS: Mapping[str, type] = {
    "name": str,
    "version": str,
    "build": str,
    "build_number": int,
    "subdir": str,
    "url": str,
    "sha256": str,
    "md5": str,
    "size": int,
    "noarch": str,
    "depends": list,
    "constrains": list,
    "track_features": list,
    "python_site_packages_path": str,
    "license": str,
    "timestamp": int,
    "purls": list,
    "channel": str,
}
_DEMANDED = ("name", "version", "build", "build_number", "subdir", "url", "sha256")
_SOURCES = ("vcs", "directory", "archive")


def lock_text(lock: Lock) -> str:
    """The file. The same lock gives the same bytes on every machine."""
    parts = [f"{_HEAD}\nversion = {VERSION}\nmeaning = {toml_string(lock.meaning)}\n"]
    for environment in sorted(lock.environments, key=_place):
        parts.append("\n[[environment]]\n" + "".join(_environment_lines(environment)))
        for conda in environment.conda:
            rows = [_row(key, conda.record[key]) for key in RECORD_KEYS if key in conda.record]
            parts.append("\n[[environment.conda]]\n" + "".join(rows))
        parts += ["\n[[environment.pypi]]\n" + "".join(_pypi_lines(pypi)) for pypi in environment.pypi]
    return "".join(parts)


def read_lock(text: bytes, path: Path) -> Lock:
    """Raises ConfigError, with the line, for anything but a lock that `lock_text` wrote."""
    return _Reader(read_document(text, path)).lock()


def _place(environment: LockedEnvironment) -> tuple[str, list[tuple[str, str]]]:
    return environment.platform, sorted(environment.needs.items())


def _environment_lines(environment: LockedEnvironment) -> Iterator[str]:
    yield _row("platform", environment.platform)
    yield _row("python", environment.python)
    yield _row("needs", dict(sorted(environment.needs.items())))
    yield _row("follows", environment.follows)
    yield _row("channels", environment.channels)


def _pypi_lines(package: PypiPackage) -> Iterator[str]:
    yield _row("name", package.name)
    if package.version:
        yield _row("version", package.version)
    if package.index:
        yield _row("index", package.index)
    for kind, table in package.source.items():
        yield _row(kind, table)
    if package.files:
        files = (
            {"filename": file.filename, **({"url": file.url} if file.url else {}), "sha256": file.sha256}
            for file in package.files
        )
        yield "files = [\n" + "".join(f"    {toml_value(file)},\n" for file in files) + "]\n"


def _row(key: str, value: Any) -> str:
    return f"{toml_key(key)} = {toml_value(value)}\n"


class _Reader:
    """Checks one document. Any: values of a file that may hold anything, until they are checked here."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._lines = document.text.split("\n")
        self._heads = {
            kind: [n for n, line in enumerate(self._lines, 1) if line.strip() == f"[[{kind}]]"]
            for kind in ("environment", "environment.conda", "environment.pypi")
        }
        self._read = dict.fromkeys(self._heads, 0)

    def lock(self) -> Lock:
        tables = self._document.tables
        if tables.get("version") != VERSION:
            problem = f"its format is {tables.get('version')!r}, and this version reads {VERSION}"
            remedy = "Update comfy-env manager, or make the lock again: python -m comfy_env_core lock"
            raise ConfigError(
                self._document.path, "version", self._document.line_of(("version",)), problem, remedy
            )
        meaning = self._value(tables, "meaning", str, 1)
        listed = self._value(tables, "environment", list, 1)
        return Lock(self._document.path, meaning, tuple(self._environment(table) for table in listed))

    def _environment(self, table: Any) -> LockedEnvironment:
        line = self._line("environment", table)
        return LockedEnvironment(
            platform=self._value(table, "platform", str, line),
            python=self._value(table, "python", str, line),
            needs=self._texts(self._value(table, "needs", dict, line), line),
            follows=self._list(table, "follows", line),
            channels=self._list(table, "channels", line),
            conda=tuple(map(self._conda, self._value(table, "conda", list, line, []))),
            pypi=tuple(map(self._pypi, self._value(table, "pypi", list, line, []))),
        )

    def _conda(self, table: Any) -> CondaPackage:
        line = self._line("environment.conda", table)
        for key, value in table.items():
            if key not in RECORD_KEYS or not isinstance(value, RECORD_KEYS[key]):
                raise self._error(
                    line, f"{key!r} is not a key of a conda package, or its value {value!r} is odd"
                )
        for key in _DEMANDED:
            self._value(table, key, RECORD_KEYS[key], line)
        self._check_sum(table["sha256"], line)
        return CondaPackage(table)

    def _pypi(self, table: Any) -> PypiPackage:
        line = self._line("environment.pypi", table)
        name = self._value(table, "name", str, line)
        files = tuple(self._file(file, line) for file in self._value(table, "files", list, line, []))
        source = {kind: self._value(table, kind, dict, line) for kind in _SOURCES if kind in table}
        if bool(files) == bool(source):
            raise self._error(line, f"{name!r} names no file, or both files and another source")
        index = self._value(table, "index", str, line, "")
        return PypiPackage(name, self._value(table, "version", str, line, ""), files, index or None, source)

    def _file(self, table: Any, line: int) -> IndexedFile:
        filename = self._value(table, "filename", str, line)
        if "/" in filename or "\\" in filename:
            raise self._error(line, f"{filename!r} is not the name of a file")
        sha256 = self._check_sum(self._value(table, "sha256", str, line), line)
        return IndexedFile(filename, self._value(table, "url", str, line, ""), sha256)

    def _check_sum(self, text: str, line: int) -> str:
        if not _SHA256.fullmatch(text):
            at = next((n for n in range(line, len(self._lines)) if text and text in self._lines[n - 1]), line)
            raise self._error(at, f"{text!r} is not a sha256, which has 64 hexadecimal digits")
        return text

    def _texts(self, table: Mapping[str, Any], line: int) -> Mapping[str, str]:
        return {key: self._value(table, key, str, line) for key in table}

    def _list(self, table: Any, key: str, line: int) -> tuple[str, ...]:
        values: Sequence[Any] = self._value(table, key, list, line)
        if not all(isinstance(value, str) for value in values):
            raise self._error(line, f"{key!r} holds something else than texts")
        return tuple(values)

    def _value(self, table: Any, key: str, kind: type, line: int, default: Any = None) -> Any:
        value = table.get(key, default) if isinstance(table, Mapping) else None
        if not isinstance(value, kind):
            raise self._error(line, f"{key!r} is missing or of the wrong kind ({value!r})")
        return value

    def _line(self, kind: str, table: Any) -> int:
        """The line of the next table of this kind."""
        heads, number = self._heads[kind], self._read[kind]
        self._read[kind] += 1
        line = heads[number] if number < len(heads) else 1
        if not isinstance(table, Mapping):
            raise self._error(line, f"{kind!r} is not a table")
        return line

    def _error(self, line: int, problem: str) -> ConfigError:
        return ConfigError(self._document.path, None, line, f"the lock is damaged: {problem}", _REMEDY)
