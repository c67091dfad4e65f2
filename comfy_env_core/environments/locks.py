"""One builder at a time for one environment, across all processes of the machine.

The lock is the operating system's (`filelock`): it vanishes with its holder, however that one ends.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from comfy_env_core.environments.atomic import write_atomically
from comfy_env_core.environments.store import Store


class ProcessLock:
    """A lock file, with the holder's pid beside it so that a waiting process can say whom it waits for.

    Not re-entrant: a second instance on the same path waits, also inside one process and thread.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._holder_path = path.with_suffix(".pid")
        # thread_local=False: a build is cancelled, and its lock released, from another thread than the builder's.
        self._lock = FileLock(path, thread_local=False)

    def try_acquire(self, timeout_s: float = 0.0) -> bool:
        """True when we hold it now. Waits up to `timeout_s`. Raises OSError where no lock file can be made."""
        try:
            self._lock.acquire(timeout=timeout_s, poll_interval=0.05)
        except Timeout:
            return False
        with contextlib.suppress(OSError):  # the pid is for people; the lock holds without it
            write_atomically(self._holder_path, str(os.getpid()).encode())
        return True

    def release(self) -> None:
        with contextlib.suppress(OSError):
            self._holder_path.unlink()
        self._lock.release()

    def holder(self) -> int | None:
        """The pid of the living process that holds the lock, if known. For messages: it may be outdated at once."""
        try:
            pid = int(self._holder_path.read_bytes())
        except (OSError, ValueError):
            return None
        return pid if psutil.pid_exists(pid) else None


def build_lock(store: Store, environment_id: str) -> ProcessLock:
    """The lock of one environment: hold it to build, rebuild or remove it. Creates the directory of the locks."""
    return _lock(store, f"build-{store.environment(environment_id).id}")


def pypi_lock(store: Store) -> ProcessLock:
    """Held around the PyPI part of a build (see `Report.pypi_turn`)."""
    return _lock(store, "pypi")


def settings_lock(store: Store) -> ProcessLock:
    """Held while the settings are read, changed and written."""
    return _lock(store, "settings")


def _lock(store: Store, name: str) -> ProcessLock:
    store.locks_dir.mkdir(parents=True, exist_ok=True)
    return ProcessLock(store.locks_dir / f"{name}.lock")
