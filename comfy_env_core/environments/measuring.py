"""What the store takes, measured when somebody wants to know and remembered until something was built or removed."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from comfy_env_core.environments.sizes import Size, measure_store
from comfy_env_core.environments.store import Store


@dataclasses.dataclass(frozen=True)
class Measured:
    """`measured_at`: Unix time in seconds. `sizes`: owner (see `measure_store`) → what it takes. `used_bytes`: all."""

    measured_at: float
    sizes: Mapping[str, Size]
    used_bytes: int


class StoreMeasuring:
    """Of one store. Measuring takes seconds for many gigabytes: one at a time, shared by all who wait for it."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._measured: tuple[object, Measured] | None = None
        self._count = 0

    @property
    def latest(self) -> Measured | None:
        """The last outcome, whatever has happened since."""
        measured = self._measured
        return measured[1] if measured is not None else None

    def measure(self, store: Store, *, fresh: bool = False) -> Measured:
        """`fresh`: also where nothing seems to have changed since the last time."""
        arrived = self._count
        with self._turn:
            mark = _mark(store)
            if self._measured is not None:
                known_mark, known = self._measured
                if self._count > arrived or (known_mark == mark and not fresh):
                    return known
            measurement = measure_store(store)
            found = Measured(time.time(), measurement.sizes(), measurement.total_bytes())
            self._measured = (mark, found)
            self._count += 1
            return found


def _mark(store: Store) -> object:
    """Changes when anything is built, rolled back or removed, in whatever process: one `stat` a generation."""
    stamps = [_stamp(path) for path in (store.root, store.cache_dir, store.engines_dir)]
    for environment in store.environments():
        stamps += [_stamp(environment.pointer_path), _stamp(environment.directory)]
        stamps += [_stamp(workspace.done_path) for workspace in environment.generations()]
    return stamps


def _stamp(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None
