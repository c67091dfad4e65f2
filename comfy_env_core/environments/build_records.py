"""What the builds of many environments recorded, read again only where it changed."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from comfy_env_core.environments.meta import DamagedMeta
from comfy_env_core.environments.workspace import Workspace


@dataclasses.dataclass(frozen=True)
class BuildRecord:
    """The part of a `Meta` that is shown in lists; the packages alone would take most of the memory."""

    python_version: str
    engine: str
    engine_version: str
    package_count: int
    config_path: str
    built_at: str
    duration_s: float
    left_out: tuple[str, ...]


class BuildRecords:
    """Remembers each record with the time stamp of its file. Thread-safe: two who ask at once may both read."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[int, BuildRecord | None]] = {}

    def of(self, workspace: Workspace) -> BuildRecord | None:
        """None for a generation without a record that can be read: it is not done, or damaged. Costs one stat."""
        path = workspace.meta_path
        try:
            changed_at = os.stat(path).st_mtime_ns
        except OSError:
            self._known.pop(path, None)
            return None
        known = self._known.get(path)
        if known is None or known[0] != changed_at:
            known = self._known[path] = (changed_at, _read(workspace))
        return known[1]


def _read(workspace: Workspace) -> BuildRecord | None:
    try:
        meta = workspace.read_meta()
    except DamagedMeta:  # its environment is built again when it is wanted, which says so
        return None
    return BuildRecord(
        python_version=meta.python_version,
        engine=meta.engine,
        engine_version=meta.engine_version,
        package_count=len(meta.packages),
        config_path=meta.config_path,
        built_at=meta.built_at,
        duration_s=meta.duration_s,
        left_out=meta.left_out,
    )
