"""Many environments at a glance: what is known of each is kept until something in its directory changes."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

from comfy_env_core.environments.environment import Environment
from comfy_env_core.environments.meta import DamagedMeta
from comfy_env_core.environments.workspace import Workspace

#: A directory that changed so short a time ago may change once more without another time stamp: the kernel's go by
#: 10 ms, those of some file systems by a second.
_SETTLED_AFTER_NS = 1_500_000_000


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


@dataclasses.dataclass(frozen=True)
class Look:
    """An environment at one moment.

    - `current`, `previous`: as `Environment` has them; `generation` is the number of the current one.
    - `record`: of the current generation; None where it cannot be read.
    - `names`: what lies in its directory; `current_names`: in that of the current generation.
    """

    current: Workspace | None
    previous: Workspace | None
    generation: int | None
    record: BuildRecord | None
    names: frozenset[str]
    current_names: frozenset[str]


class Looks:
    """Costs two `stat`s for an environment that did not change. Thread-safe: two who ask at once may both look.

    What changes an environment creates, renames or deletes something in its directory or its current generation's (see
    `write_atomically`), which gives that directory a new time stamp.
    """

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int | None, int | None], Look]] = {}

    def at(self, environment: Environment) -> Look:
        """Also for one that is not there."""
        known = self._known.get(environment.directory)
        if known is not None:
            stamps, look = known
            if stamps == _stamps(environment, look.current):
                return look
        # The stamps first: what changes while we look is seen the next time.
        changed_at, look = _stamp(environment.directory), _look(environment)
        stamps = (changed_at, _stamp(look.current.directory) if look.current is not None else None)
        if (
            max(stamp or 0 for stamp in stamps) < time.time_ns() - _SETTLED_AFTER_NS
            and changed_at is not None
        ):
            self._known[environment.directory] = (stamps, look)
        else:
            self._known.pop(environment.directory, None)
        return look


def read_record(workspace: Workspace) -> BuildRecord | None:
    """None for a generation that is not done, or whose record is damaged."""
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


def _look(environment: Environment) -> Look:
    current = environment.current()
    return Look(
        current=current,
        previous=environment.previous(),
        generation=current.number if current is not None else None,
        record=read_record(current) if current is not None else None,
        names=_names(environment.directory),
        current_names=_names(current.directory) if current is not None else frozenset(),
    )


def _names(directory: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(directory))
    except OSError:
        return frozenset()


def _stamps(environment: Environment, current: Workspace | None) -> tuple[int | None, int | None]:
    return _stamp(environment.directory), _stamp(current.directory) if current is not None else None


def _stamp(directory: Path) -> int | None:
    try:
        return os.stat(directory).st_mtime_ns
    except OSError:
        return None
