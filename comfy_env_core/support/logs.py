"""The logs of builds and workers: the end of each, the newest first, and no more of all than somebody will read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from comfy_env_core.environments.store import Store
from comfy_env_core.support.bundle import Part

MOST_OF_ONE_BYTES = 256 * 1024
_MOST_OF_ALL_BYTES = 4 * 2**20


class LogFile(NamedTuple):
    """`name`: in the bundle."""

    name: str
    path: Path


def log_parts(logs: Iterable[LogFile]) -> Iterator[Part]:
    """Those that are there."""
    left_bytes = _MOST_OF_ALL_BYTES
    for one in sorted(logs, key=_changed_at, reverse=True):
        try:
            size_bytes = min(one.path.stat().st_size, MOST_OF_ONE_BYTES)
        except OSError:
            continue
        if size_bytes > left_bytes:
            return
        left_bytes -= size_bytes
        yield Part(one.name, lambda path=one.path: tail(path))  # type: ignore[misc]  # mypy knows no such lambda


def logs_of_builds(store: Store, environment_ids: Iterable[str]) -> Iterator[LogFile]:
    """The last one of each environment, and the one before."""
    for environment_id in sorted(environment_ids):
        path = store.environment(environment_id).log_path
        for one in (path, path.with_name(f"{path.name}.1")):
            yield LogFile(f"environments/{environment_id}/{one.name}.txt", one)


def logs_of_workers(paths: Iterable[Path]) -> Iterator[LogFile]:
    """The current one of each site, and the one before."""
    for path in sorted(paths):
        for one in (path, path.with_name(f"{path.name}.1")):
            yield LogFile(f"workers/{one.name}.txt", one)


def tail(path: Path, limit_bytes: int = MOST_OF_ONE_BYTES) -> str:
    """The end of a file, from the beginning of a line on: half a line may be half a password. Raises OSError."""
    with path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        file.seek(max(0, size_bytes - limit_bytes))
        content = file.read(limit_bytes)
    if size_bytes <= limit_bytes:
        return _decoded(content)
    kept = content.partition(b"\n")[2]
    return f"[… {size_bytes - len(kept)} bytes before this are left out]\n{_decoded(kept)}"


def _decoded(content: bytes) -> str:
    """Line by line: each program writes its own encoding, and a name that is decoded wrongly is not found again."""
    return "\n".join(map(_decoded_line, content.split(b"\n")))


def _decoded_line(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")


def _changed_at(one: LogFile) -> float:
    try:
        return one.path.stat().st_mtime
    except OSError:
        return 0.0
