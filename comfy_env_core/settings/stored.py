"""`settings.json` in the store: read whole, told of where it is wrong, and used as far as it is right."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from comfy_env_core.environments.store import Store
from comfy_env_core.settings.table import BY_NAME, SETTINGS, Setting, Value

#: Ours are a few hundred bytes.
_LARGEST_BYTES = 1 << 20


class Stored(NamedTuple):
    """- `values`: every key of the file, also those that this version does not know, unchecked. Any: JSON.
    - `problem`: why nothing of it is used, None when it is in order or absent.
    - `is_closed`: it is there and cannot be opened.
    """

    path: Path
    values: Mapping[str, Any] = MappingProxyType({})
    problem: str | None = None
    is_closed: bool = False

    def chosen(self) -> Iterator[tuple[Setting, Value]]:
        """The settings that the file sets, and sets right."""
        for setting in SETTINGS:
            value = self.values.get(setting.name)
            if value is not None and setting.problem(value) is None:
                yield setting, value

    def problem_of(self, setting: Setting) -> str | None:
        """What is wrong with the setting's value in the file, for people; None when nothing is."""
        value = self.values.get(setting.name)
        problem = setting.problem(value) if value is not None else None
        if problem is None:
            return None
        return (
            f"{self.path}: {setting.name} {problem}. The default is used; set it again, or delete that line."
        )

    def problems(self) -> Iterator[str]:
        """Everything that is wrong with the file, for people."""
        if self.problem is not None:
            yield self.problem
        yield from filter(None, map(self.problem_of, SETTINGS))
        for name in self.values:
            if name not in BY_NAME:
                known = ", ".join(BY_NAME)
                yield f"{self.path}: {name!r} is no setting of this version, and is kept. Known are {known}."


def read(store: Store) -> Stored:
    """Never raises. One failing open is all that it costs where nobody has set anything."""
    path = store.settings_path
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return Stored(path)
    except OSError as error:
        text = (
            f"{path} cannot be read ({error.strerror or error}), so every setting has its default. Make it a file that "
            "you can read."
        )
        return Stored(path, problem=text, is_closed=True)
    try:
        return Stored(path, _parsed(content))
    except (ValueError, RecursionError) as error:
        text = (
            f"{path} is no settings file: {error}. Every setting has its default. Correct it, or set anything: the "
            "file is put aside then, and a new one written."
        )
        return Stored(path, problem=text)


def _parsed(content: bytes) -> Mapping[str, Any]:
    """UTF-8, and what editors on Windows write for it: with a mark in front, or UTF-16. Raises ValueError."""
    if len(content) > _LARGEST_BYTES:
        raise ValueError(f"it is larger than {_LARGEST_BYTES} bytes")
    values = json.loads(content, parse_constant=_no_number, parse_float=_finite)
    if not isinstance(values, dict):
        raise ValueError(f'it holds no {{"name": value}} but a {type(values).__name__}')
    return values


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large")
    return number
