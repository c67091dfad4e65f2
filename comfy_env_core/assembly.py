"""Puts a manager together from the machine it runs on. Doorways and command line differ only in what they pass."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_env_core.discovery import Scan
from comfy_env_core.environments.home import user_home
from comfy_env_core.environments.store import Store
from comfy_env_core.manager import IMPORT_TIMEOUT_S, BuildMode, Manager, ManagerParts
from comfy_env_core.settings.effective import Variables, effective
from comfy_env_core.sites.planning import Planner

if TYPE_CHECKING:
    from comfy_env_core.building.engines.choosing import EngineChooser
    from comfy_env_core.building.engines.contract import Engine
    from comfy_env_core.building.jobs import Builder, JobSnapshot
    from comfy_env_core.building.report import Report
    from comfy_env_core.building.user_settings import UserSettings
    from comfy_env_core.supervision import HostServices, WorkerPool, WorkerSpec

log = logging.getLogger("comfy-env")


def assemble(
    store: Store,
    scan: Scan,
    *,
    comfyui_source: Path | None,
    services: HostServices,
    mode: BuildMode,
    host_facts: Mapping[str, Any],
    custom_nodes: Sequence[Path] = (),
    variables: Variables | None = None,
) -> Manager:
    """A manager over what was scanned; nothing is started yet. What the scan found amiss is logged.

    `custom_nodes`: the directories of the ComfyUI if all of them were scanned (see `ManagerParts`). `variables`: this
    process's environment with the store's settings, unless others are given.
    """
    for mistake in scan.mistakes:
        log.warning("%s", mistake)
    environ = variables if variables is not None else effective(os.environ, store)
    settings = CurrentSettings(environ)
    parts = ManagerParts(
        store=store,
        planner=Planner(comfyui_source, settings.current, environ),
        make_builder=lambda tell: _make_builder(store, settings, tell),
        make_pool=lambda tell: _make_pool(services, environ, tell),
        make_spec=_make_spec,
        comfyui_source=comfyui_source,
        module_name=root_module_name,
        host_facts={"source": str(comfyui_source) if comfyui_source else None, **host_facts},
        import_timeout_s=float(environ.get("COMFY_ENV_IMPORT_TIMEOUT_S", IMPORT_TIMEOUT_S)),
        custom_nodes=custom_nodes,
    )
    return Manager(parts, scan, mode)


# The imports below wait until something has to be built or run: together they take longer than a whole warm start.


class CurrentSettings:
    """What the user configured for pip, uv, pixi and us: gathered when it is first asked for, and again after a change
    of the settings. Thread-safe."""

    def __init__(self, variables: Variables) -> None:
        self._variables = variables
        self._lock = threading.Lock()
        self._gathered: tuple[Mapping[str, str], UserSettings] | None = None

    def current(self) -> UserSettings:
        """The same object as long as no setting changes."""
        from comfy_env_core.building.user_settings import UserSettings

        with self._lock:
            self._variables.renew()
            from_settings = self._variables.from_settings
            if self._gathered is None or self._gathered[0] != from_settings:
                self._gathered = (from_settings, UserSettings.gather(self._variables, user_home()))
            return self._gathered[1]


class EngineChoice:
    """Which engine builds: remembered as long as nothing changes that it was chosen by. Thread-safe."""

    def __init__(self, store: Store, settings: CurrentSettings) -> None:
        self._store = store
        self._settings = settings
        self._lock = threading.Lock()
        self._chooser: tuple[UserSettings, EngineChooser] | None = None

    def choose(self, report: Report) -> Engine:
        """The engine for the next build. Raises BuildError."""
        return self._current().choose(report)

    def _current(self) -> EngineChooser:
        from comfy_env_core.building.engines.choosing import EngineChooser

        settings = self._settings.current()
        with self._lock:
            if self._chooser is None or self._chooser[0] is not settings:
                self._chooser = (settings, EngineChooser(self._store, settings))
            return self._chooser[1]


def _make_builder(store: Store, settings: CurrentSettings, tell: Callable[[JobSnapshot], None]) -> Builder:
    from comfy_env_core.building.jobs import Builder

    return Builder(store, EngineChoice(store, settings).choose, [tell])


def _make_pool(services: HostServices, variables: Variables, tell: Callable[[str], None]) -> WorkerPool:
    from comfy_env_core.supervision import IdlePolicy, WorkerPool

    variables.renew()
    return WorkerPool(services, on_change=tell, policy=IdlePolicy.from_environment(variables))


def _make_spec(**facts: Any) -> WorkerSpec:
    """Any: the fields of a WorkerSpec, whose class is not imported yet."""
    from comfy_env_core.supervision import WorkerSpec

    return WorkerSpec(**facts)


def build_mode(environ: Mapping[str, str] = os.environ) -> BuildMode:
    """`COMFY_ENV_BUILD`; an unknown value is said and counts as the default."""
    text = environ.get("COMFY_ENV_BUILD", "").strip().lower()
    try:
        return BuildMode(text) if text else BuildMode.BACKGROUND
    except ValueError:
        known = ", ".join(mode.value for mode in BuildMode)
        log.error("COMFY_ENV_BUILD=%r is not one of %s; building in the background.", text, known)
        return BuildMode.BACKGROUND


def root_module_name(pack: Path) -> str:
    """ComfyUI's name in `sys.modules` for a pack (0.3.52 to 0.3.75 at least): its path, dots replaced."""
    return str(pack).replace(".", "_x_")


def find_comfyui(start: Path, environ: Mapping[str, str] = os.environ) -> Path | None:
    """ComfyUI's own code: `COMFYUI_PATH` (ComfyUI-Manager sets it), else above `start`. None when there is none."""
    named = environ.get("COMFYUI_PATH", "").strip()
    for directory in (Path(named), start, *start.parents) if named else (start, *start.parents):
        if (directory / "comfyui_version.py").is_file() and (directory / "nodes.py").is_file():
            return directory.resolve()
    return None
