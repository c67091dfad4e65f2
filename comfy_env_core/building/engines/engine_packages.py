"""The embedded engine's own packages, rattler and uv, in a directory of the store named after their versions."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

from comfy_env_core.building.fetching import Fetcher
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.building.wheels import Pinned, install_wheels, load_pins
from comfy_env_core.environments.store import Store

NAMES = ("py-rattler", "uv")


@dataclasses.dataclass(frozen=True)
class EngineTools:
    """Where the engine's packages are. `directory` goes to `sys.path` of the driver, never of ComfyUI."""

    directory: Path

    @property
    def uv(self) -> Path:
        return self.directory / "bin" / ("uv.exe" if os.name == "nt" else "uv")


def engine_version() -> str:
    """Both versions, as they are recorded and shown."""
    return ", ".join(f"{pinned.name} {pinned.version}" for pinned in _pinned())


def ensure_engine_packages(store: Store, settings: UserSettings, report: Report) -> EngineTools:
    """Installs them if this version of us has not yet (43 MB to download). Raises as `install_wheels` does."""
    directory = engine_directory(store)
    if not os.path.isfile(directory / ".complete"):
        report.phase(Phase.DOWNLOADING, "the build engine (rattler and uv, once)")
        report.log(f"installing {engine_version()} into {directory}")
        install_wheels(_pinned(), directory, settings, Fetcher(settings, check=report.check))
    return EngineTools(directory)


def engine_directory(store: Store) -> Path:
    """Where the engine of this version of us is, or will be."""
    return store.engines_dir / f"embedded-{_digest()}"


def _pinned() -> tuple[Pinned, ...]:
    pins = load_pins()
    return tuple(pins[name] for name in NAMES)


def _digest() -> str:
    return hashlib.sha256("\n".join(repr(pinned) for pinned in _pinned()).encode()).hexdigest()[:8]
