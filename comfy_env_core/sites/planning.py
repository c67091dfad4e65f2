"""Which environment a site needs: asked in full only when something changed that could change the answer."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import sys
import sysconfig
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from comfy_env_core.building.errors import BuildCause, BuildError, disk_error
from comfy_env_core.building.gpu_traces import driver_key
from comfy_env_core.building.locks import LOCK_NAME
from comfy_env_core.building.platform import Platform
from comfy_env_core.config import ConfigError, HostNeed
from comfy_env_core.discovery import Site
from comfy_env_core.environments.identity import RECIPE

if TYPE_CHECKING:
    from comfy_env_core.building.host_python import HostPython
    from comfy_env_core.building.plan import BuildPlan
    from comfy_env_core.building.user_settings import UserSettings

#: Variables that can change a plan: the user's indexes, and those of our own settings that choose packages.
_RELEVANT_VARIABLES = re.compile(r"^(COMFY_ENV_(CUDA|TORCH)|PIP_|UV_|PIXI_|CONDA_OVERRIDE_)")


class Planner:
    """Plans for one host: its Python, its ComfyUI, its user's settings, which may change between plans."""

    def __init__(
        self,
        comfyui_source: Path | None,
        settings: Callable[[], UserSettings],
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._comfyui_source = comfyui_source
        self._settings = settings
        self._environ = environ
        self._last_settings: UserSettings | None = None

    def plan_key(self, site: Site, source: str, host_need: HostNeed) -> str:
        """A hash over everything that `plan` looks at.

        `source`: the fingerprint of the site's source. `host_need`: what `plan` found that it needs of the host; it
        follows from source and file alone, and most sites need nothing, whatever is installed in ComfyUI's Python.
        """
        config = hashlib.sha256(site.spec.source if site.spec is not None else b"").hexdigest()
        host = "" if host_need is HostNeed.NONE else self._host_key
        # A file may name paths, which lead from where it lies.
        place = str(site.directory)
        return _digest([config, _lock_key(site), place, source, self._machine_key, host])[:32]

    def plan(self, site: Site, nested: Collection[Path]) -> BuildPlan:
        """The plan with the lock that lies beside the file, if it fits.

        Raises BuildError for a file that cannot become an environment on this machine, and for a damaged lock.
        """
        from comfy_env_core.building.locks.fitting import with_lock  # see `_plan_of_file`

        plan = self._plan_of_file(site, nested)
        text = _shipped_lock(site)
        if text is None:
            return plan
        path = _lock_path(site)
        try:
            return with_lock(plan, text, path)
        except ConfigError as error:
            raise BuildError(BuildCause.CONFIG, str(error), "", path) from error

    def plan_elsewhere(self, site: Site, nested: Collection[Path], platform_name: str) -> BuildPlan:
        """The plan for another platform, without a GPU and without any lock; this one's own if it is the one named.

        Raises as `plan`, and UnknownPlatform.
        """
        from comfy_env_core.building.elsewhere import machine_elsewhere  # see `_plan_of_file`

        if platform_name == Platform.current().name:
            return self.plan(site, nested)
        return self._plan_of_file(site, nested, machine_elsewhere(self._host, platform_name, "none"))

    def _plan_of_file(
        self, site: Site, nested: Collection[Path], machine: tuple[Platform, HostPython] | None = None
    ) -> BuildPlan:
        """`machine`: None for the one here."""
        # Only here: a start at which every key is known plans nothing, and reading sources and metadata takes long.
        from comfy_env_core.building.plan import plan_build
        from comfy_env_core.discovery.host_use import host_use

        if site.spec is None:
            raise BuildError(BuildCause.CONFIG, str(site.error), "", site.config_path)
        platform, host = machine or (Platform.current(), self._host)
        plan = plan_build(
            site.spec,
            platform=platform,
            host=host,
            host_use=host_use(site.directory, nested, site.pack.path),
            comfyui_requirements=self._comfyui_requirements,
            settings=self._current_settings(),
        )
        if plan.host_need is HostNeed.COMFYUI and self._comfyui_source is None:
            raise BuildError(
                BuildCause.CONFIG,
                f"The code of {site.id!r} imports ComfyUI's own modules, and no ComfyUI was found above its directory.",
                "Name ComfyUI's directory with the variable COMFYUI_PATH, or start ComfyUI, which knows where it is.",
            )
        return plan

    def _current_settings(self) -> UserSettings:
        """Another object than the last time means that variables changed: the key of the machine is made anew then."""
        settings = self._settings()
        if settings is not self._last_settings:
            self._last_settings = settings
            vars(self).pop("_machine_key", None)
        return settings

    @functools.cached_property
    def _machine_key(self) -> str:
        parts = [RECIPE, sys.version, sys.executable, Platform.current().name, driver_key()]
        parts.extend(
            f"{key}={value}" for key, value in sorted(self._environ.items()) if _RELEVANT_VARIABLES.match(key)
        )
        return _digest(parts)

    @functools.cached_property
    def _host_key(self) -> str:
        """Stands for the host's packages without reading them: all their metadata takes tens of milliseconds.

        An install into the host's Python changes the time stamp of its site-packages.
        """
        parts = [_stamp(Path(sysconfig.get_path(name))) for name in ("purelib", "platlib")]
        if self._comfyui_source is not None:
            parts.append(_stamp(self._comfyui_source / "requirements.txt"))
        return _digest(parts)

    @functools.cached_property
    def _host(self) -> HostPython:
        from comfy_env_core.building.host_python import HostPython  # see `plan`

        return HostPython.current(self._environ)

    @functools.cached_property
    def _comfyui_requirements(self) -> tuple[str, ...]:
        from comfy_env_core.building.host_packages import comfyui_requirements  # see `_plan_of_file`

        return comfyui_requirements(self._comfyui_source)


def _lock_path(site: Site) -> Path:
    return site.config_path.with_name(LOCK_NAME)


def _shipped_lock(site: Site) -> bytes | None:
    """The lock beside the site's file, None if there is none. Raises BuildError for one that cannot be read."""
    try:
        return _lock_path(site).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_error(error, "Reading the lock", _lock_path(site)) from error


def _lock_key(site: Site) -> str:
    """Stands for the lock's content; of one that cannot be read, `plan` tells why."""
    try:
        return hashlib.sha256(_lock_path(site).read_bytes()).hexdigest()
    except OSError:
        return ""


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except FileNotFoundError:
        return f"{path}: none"
    return f"{path}: {status.st_mtime_ns}"
