"""`import comfy_env` in ComfyUI's process, and in the installers that it starts."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import comfy_env_core
from comfy_env_core.comfyui import earlier_scripts
from comfy_env_core.compat import ComfyEnvFinder
from comfy_env_core.environments.states import SiteState
from comfy_env_core.environments.store import Store
from comfy_env_core.manager import Manager
from comfy_env_core.sites.runtime import SiteRuntime

log = logging.getLogger("comfy-env")

_NO = frozenset({"0", "false", "no", "off"})


class HostBackend:
    """What packs ask for goes to the manager, which builds everything by itself anyway."""

    def __init__(self, manager: Manager, store: Store) -> None:
        self._manager = manager
        self.store = store.root

    def install(self, directory: Path, say: Any = None) -> bool:
        """Queues what is missing; never waits, since ComfyUI is importing the pack that asks."""
        tell = say if say is not None else log.info
        for runtime in self._sites_around(directory):
            if runtime.state is SiteState.FAILED:
                raise RuntimeError(f"The environment of {runtime.id!r} cannot be built: {runtime.failure}")
            if not runtime.is_complete():
                tell(
                    f"{runtime.id}: comfy-env manager builds its environment; its nodes appear when that is done."
                )
                runtime.on_wanted(runtime)
        return True

    def refuse_to_isolate(self, what: str, directory: Path) -> None:
        place = os.path.realpath(directory)
        for runtime in self._manager.sites.values():
            site = os.path.realpath(runtime.site.directory)
            if place == site or place.startswith(site + os.sep) or site.startswith(place + os.sep):
                return
        raise RuntimeError(
            f"{what} asks for nodes of {str(directory)!r} to run in an environment of their own, and there is no "
            "comfy-env.toml in that directory, so they would run in ComfyUI's own Python. Put one there that lists the "
            "packages that they need."
        )

    def register_serializer(
        self, type_name: str, serialize: Any, deserialize: Any, tag: str, source: Path
    ) -> None:
        """ComfyUI's process passes such objects on unopened; workers and `serialization.py` have what they need."""
        log.debug(
            "%s registers a serializer for %s in ComfyUI's process; workers use theirs.", source, type_name
        )

    def _sites_around(self, directory: Path) -> Iterator[SiteRuntime]:
        """Those of the pack that `directory` is, or lies in."""
        place = os.path.realpath(directory)
        for runtime in self._manager.sites.values():
            pack = os.path.realpath(runtime.site.pack.path)
            if place == pack or place.startswith(pack + os.sep):
                yield runtime


def is_wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """`COMFY_ENV_TAKEOVER`: whether packs that import comfy_env get ours."""
    return environ.get("COMFY_ENV_TAKEOVER", "").strip().lower() not in _NO


def serve(
    manager: Manager,
    store: Store,
    custom_nodes: Sequence[Path],
    environ: MutableMapping[str, str] = os.environ,
) -> None:
    """From now on packs get ours: in this process, and in the Python processes that it starts.

    Those are ComfyUI-Manager's for the `install.py` of packs: by way of `PYTHONPATH`, with a folder in it that holds
    nothing but `comfy_env`.
    """
    if not is_wanted(environ):
        log.warning(
            "COMFY_ENV_TAKEOVER=%s: packs that import comfy_env in ComfyUI's process get the one that is installed, if "
            "any. It builds environments and starts processes of its own for packs that call it; what they import from "
            "a directory with a comfy-env.toml still comes from comfy-env manager.",
            environ["COMFY_ENV_TAKEOVER"],
        )
        return
    was_installed = earlier_scripts.is_comfy_env_installed()
    if ComfyEnvFinder(HostBackend(manager, store)).install():
        log.info(
            "comfy_env was imported before comfy-env manager started; packs loaded from now on get ours."
        )
    inherited = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    own = Path(comfy_env_core.__path__[0]).parent
    ours = str(own / "installers")
    if ours not in inherited:
        environ["PYTHONPATH"] = os.pathsep.join([ours, *inherited])
    if not was_installed:
        isolated = {each.site.pack.path for each in manager.sites.values() if each.is_root}
        earlier_scripts.run_again(custom_nodes, own, isolated)
