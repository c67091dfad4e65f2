"""The few libraries ComfyUI's side needs, without touching ComfyUI's Python: what is missing comes from our own store.

Imports the standard library only, and while nothing is missing only the cheap part of it: this runs at every start of
ComfyUI, before anything else of the package.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

NETWORK_BUDGET_S = 15.0
_PINS_PATH = Path(__file__).parent / "building" / "engines" / "pins.json"


@dataclasses.dataclass(frozen=True)
class Bootstrap:
    """The outcome. `missing`: what ComfyUI's Python still lacks (empty: all is well); `problem`: why, for people."""

    missing: tuple[str, ...] = ()
    problem: str | None = None


def ensure_runtime(store_root: Path, *, budget_s: float = NETWORK_BUDGET_S) -> Bootstrap:
    """Makes msgpack, filelock, psutil and (before Python 3.11) tomli importable, and says what could not be had.

    What is missing is fetched once, as pinned wheels, into `<store_root>/runtime/<tag>/`, which is appended to
    `sys.path`: whatever ComfyUI's Python has itself goes first. Never raises, never takes longer than `budget_s`.
    """
    missing = _missing()
    if not missing:
        return Bootstrap()
    directory = store_root / "runtime" / _directory_name(missing)
    if not os.path.isfile(directory / ".complete"):
        problem = _fetch_within(missing, directory, store_root, budget_s)
        if problem:
            return Bootstrap(missing, problem)
    if str(directory) not in sys.path:
        sys.path.append(str(directory))
    importlib.invalidate_caches()
    still_missing = _missing()
    return Bootstrap(
        still_missing, f"{directory} is damaged: delete it and restart." if still_missing else None
    )


def _missing() -> tuple[str, ...]:
    wanted = ["msgpack", "filelock", "psutil"] + (["tomli"] if sys.version_info < (3, 11) else [])
    return tuple(name for name in wanted if importlib.util.find_spec(name) is None)


def _directory_name(names: Sequence[str]) -> str:
    """One directory per interpreter and set of pinned versions, so that an update of ours never mixes two."""
    pins = json.loads(_PINS_PATH.read_text(encoding="utf-8"))
    versions = " ".join(f"{name}=={pins[name]['version']}" for name in sorted(names))
    cache_tag = sys.implementation.cache_tag or "python"
    machine = os.uname().machine if hasattr(os, "uname") else os.environ.get("PROCESSOR_ARCHITECTURE", "")
    digest = hashlib.sha256(f"{versions} {getattr(sys, 'abiflags', '')} {machine}".encode()).hexdigest()[:8]
    return f"{cache_tag}-{sys.platform}-{digest}"


def _fetch_within(names: Sequence[str], directory: Path, store_root: Path, budget_s: float) -> str | None:
    """Fetches in a thread that is left behind when the time is up: a name server that is away blocks without limit."""
    outcome: list[str | None] = []

    def fetch() -> None:
        outcome.append(_fetch(names, directory, store_root, time.monotonic() + budget_s))

    thread = threading.Thread(target=fetch, name="comfy-env-bootstrap", daemon=True)
    thread.start()
    thread.join(budget_s)
    if outcome:
        return outcome[0]
    return (
        f"Fetching {', '.join(names)} took longer than {budget_s:g} s. Restart when the package index can be reached, "
        f"or name a mirror in pip's configuration (index-url)."
    )


def _fetch(names: Sequence[str], directory: Path, store_root: Path, deadline: float) -> str | None:
    # Imported here: together they cost 40 ms that a start with nothing missing does not have to pay.
    from comfy_env_core.building.errors import BuildError
    from comfy_env_core.building.fetching import Fetcher
    from comfy_env_core.building.user_settings import UserSettings
    from comfy_env_core.building.wheels import install_wheels, load_pins
    from comfy_env_core.environments.home import user_home
    from comfy_env_core.environments.store import Store
    from comfy_env_core.settings.effective import effective

    try:
        settings = UserSettings.gather(effective(os.environ, Store(store_root)), user_home())
        pins = load_pins()
        fetcher = Fetcher(settings, timeout_s=5.0, deadline=deadline)
        install_wheels([pins[name] for name in names], directory, settings, fetcher)
    except BuildError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 – the boundary of a thread; a start-up must not die of this
        return f"Fetching {', '.join(names)} into {directory} failed: {error!r}."
    return None
