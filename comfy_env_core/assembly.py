"""Puts a manager together from the machine it runs on. Doorways and command line differ only in what they pass."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from comfy_env_core.building.engines.choosing import EngineChooser
from comfy_env_core.building.jobs import Builder
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.discovery import Scan
from comfy_env_core.environments.store import Store
from comfy_env_core.manager import IMPORT_TIMEOUT_S, BuildMode, Manager, ManagerParts
from comfy_env_core.sites.planning import Planner
from comfy_env_core.supervision import HostServices, WorkerPool

log = logging.getLogger("comfy-env")


def assemble(
    store: Store,
    scan: Scan,
    *,
    comfyui_source: Path | None,
    services: HostServices,
    mode: BuildMode,
    environ: Mapping[str, str] = os.environ,
) -> Manager:
    """A manager over what was scanned; nothing is started yet."""
    settings = UserSettings.gather(environ, Path.home())
    parts = ManagerParts(
        store=store,
        planner=Planner(comfyui_source, settings, environ),
        make_builder=lambda tell: Builder(store, EngineChooser(store, settings).choose, [tell]),
        pool=WorkerPool(services),
        comfyui_source=comfyui_source,
        module_name=root_module_name,
        import_timeout_s=float(environ.get("COMFY_ENV_IMPORT_TIMEOUT_S", IMPORT_TIMEOUT_S)),
    )
    return Manager(parts, scan, mode)


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
    """The name in `sys.modules` under which ComfyUI (0.3.52 to 0.3.75 at least) imports a pack: its path, dots replaced."""
    return str(pack).replace(".", "_x_")


def find_comfyui(start: Path) -> Path | None:
    """The ComfyUI source above `start`, known by two of its files; None when there is none."""
    for directory in (start, *start.parents):
        if (directory / "comfyui_version.py").is_file() and (directory / "nodes.py").is_file():
            return directory
    return None
