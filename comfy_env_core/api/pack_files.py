"""The files by which a pack is configured, as they are now, with what is wrong or odd at its line."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict

from comfy_env_core.building.locks.lock_file import read_lock
from comfy_env_core.config import ConfigError, ConfigWarning, parse_env, parse_root

FileKind = Literal["environment", "root", "lock"]


class ProblemJson(TypedDict):
    """What is wrong in a file ("error": it cannot be used), or has no effect. `line` counts from 1."""

    level: Literal["error", "warning"]
    line: int | None
    key: str | None
    problem: str
    remedy: str


class PackFileJson(TypedDict):
    """A file as it is now. `path`: below the pack, with "/". Of locks, the list of all packs has neither `text` nor
    `problems`: they are long."""

    path: str
    kind: FileKind
    text: str
    problems: list[ProblemJson]


def pack_file(pack: Path, path: Path, kind: FileKind, *, in_full: bool) -> PackFileJson:
    """`pack`: the directory of the pack. `in_full`: with what the file says; a lock is not even read without."""
    shown: PackFileJson = {
        "path": _below(pack, path),
        "kind": kind,
        "text": "",
        "problems": [],
    }
    if not in_full:
        return shown
    try:
        content = path.read_bytes()
    except OSError as error:
        problem = f"the file cannot be read: {error.strerror or error}"
        remedy = "Put it back, or restart ComfyUI if it was removed on purpose"
        shown["problems"].append(_problem("error", ConfigError(path, None, None, problem, remedy)))
        return shown
    problems = _problems(content, path, kind) if kind != "lock" else _look_for_problems(content, path, kind)
    return {**shown, "text": content.decode("utf-8", "replace"), "problems": list(problems)}


@functools.lru_cache(maxsize=4096)
def _below(pack: Path, path: Path) -> str:
    return path.relative_to(pack).as_posix()


#: Each raises ConfigError. Any: what they return have nothing in common but `warnings`, of which a lock has none.
_READERS: Mapping[FileKind, Callable[[bytes, Path], Any]] = {
    "environment": parse_env,
    "root": parse_root,
    "lock": read_lock,
}


def _look_for_problems(content: bytes, path: Path, kind: FileKind) -> tuple[ProblemJson, ...]:
    try:
        parsed = _READERS[kind](content, path)
    except ConfigError as error:
        return (_problem("error", error),)
    return tuple(_problem("warning", warning) for warning in getattr(parsed, "warnings", ()))


#: The same files are looked at for every page. Locks are large and would fill the memory.
_problems = functools.lru_cache(maxsize=1024)(_look_for_problems)


def _problem(level: Literal["error", "warning"], told: ConfigError | ConfigWarning) -> ProblemJson:
    return {
        "level": level,
        "line": told.line,
        "key": told.key,
        "problem": told.problem,
        "remedy": told.remedy,
    }
