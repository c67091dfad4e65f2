"""What is wrong, or odd, in a configuration file: where, what and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class ConfigError(Exception):
    """A configuration file that cannot be used.

    `key` is dotted ("pypi-dependencies.numpy"), `line` counts from 1; either is None where it has no meaning
    (a file that is not UTF-8 has no keys, a file that cannot be opened has no lines). `problem` and `remedy` are
    sentences without a final full stop.
    """

    def __init__(self, path: Path, key: str | None, line: int | None, problem: str, remedy: str) -> None:
        super().__init__(path, key, line, problem, remedy)
        self.path = path
        self.key = key
        self.line = line
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return _sentence(self.path, self.key, self.line, self.problem, self.remedy)


@dataclass(frozen=True)
class ConfigWarning:
    """Something in a file that is kept but has no effect, or not the effect it seems to have.

    The fields are those of ConfigError.
    """

    path: Path
    key: str | None
    line: int | None
    problem: str
    remedy: str

    def __str__(self) -> str:
        return _sentence(self.path, self.key, self.line, self.problem, self.remedy)

    @property
    def within(self) -> str:
        """The warning for a reader who knows which file it is about."""
        return _sentence(None, self.key, self.line, self.problem, self.remedy)


def _sentence(path: Path | None, key: str | None, line: int | None, problem: str, remedy: str) -> str:
    place = [
        *([str(path)] if path is not None else []),
        *([f"line {line}"] if line is not None else []),
        *([f"key {key!r}"] if key is not None else []),
    ]
    return f"{', '.join(place)}: {problem}. {remedy}."
