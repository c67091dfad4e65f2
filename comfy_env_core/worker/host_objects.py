"""ComfyUI's own modules in a worker, where what they work on is in the host: its nodes and its models.

`nodes` is not executed before something of it is used: it imports all of ComfyUI's model code, and packs often import
it without need, or without knowing (`comfy_execution.graph` does).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from comfy_env_core.worker.configuration import Configuration
from comfy_env_core.worker.home import Home
from comfy_env_core.worker.host_nodes import TABLES, HostTable
from comfy_env_core.worker.hosted import Hosting
from comfy_env_core.worker.hosted_memory import adjust_memory
from comfy_env_core.worker.lazy_modules import LazyLoader

log = logging.getLogger("comfy-env.worker")


def install_host_objects(home: Home, configuration: Configuration) -> None:
    """Watch for the imports of the modules concerned; nothing in an environment without ComfyUI's source."""
    if configuration.comfyui is not None:
        sys.meta_path.insert(0, _HostObjects(home, configuration))


class _HostObjects:
    """A meta path finder that lets the others find, and changes what they found after its import."""

    def __init__(self, home: Home, configuration: Configuration) -> None:
        self._home = home
        self._configuration = configuration
        self._hosting = Hosting(home)
        self._told: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Called by the import system."""
        if fullname == "nodes":
            spec = self._found_by_others(fullname, path, target)
            if spec is not None and spec.loader is not None and self._is_comfyuis(spec):
                spec.loader = LazyLoader(spec.loader, self._fill_nodes, self._host_member, self._note_written)  # type: ignore[assignment]  # a loader by its methods
            return spec
        action = self._action(fullname)
        spec = self._found_by_others(fullname, path, target) if action is not None else None
        if action is not None and spec is not None and spec.loader is not None:
            spec.loader = _LoaderThen(spec.loader, action)  # type: ignore[assignment]
        return spec

    def _action(self, module: str) -> Callable[[ModuleType], None] | None:
        if module == "comfy.model_management":
            return lambda found: adjust_memory(found, self._home)
        return self._hosting.adjust if self._hosting.is_concerned(module) else None

    def _found_by_others(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in sys.meta_path:
            if finder is not self:
                spec = finder.find_spec(fullname, path, target)
                if spec is not None:
                    return spec
        return None

    def _is_comfyuis(self, spec: ModuleSpec) -> bool:
        """A site folder of that name is another module."""
        return bool(spec.origin) and spec.origin == str(self._configuration.comfyui / "nodes.py")  # type: ignore[operator]

    def _fill_nodes(self, module: ModuleType) -> None:
        self._hosting.adjust(module)
        for table in TABLES:
            own = getattr(module, table)
            vars(module)[table] = HostTable(self._home, table, own, self._configuration.module_name)

    def _host_member(self, name: str) -> Any:
        """What another pack put into the host's `nodes`."""
        return self._home.ask("host_member", "nodes", name)

    def _note_written(self, name: str, value: Any) -> None:
        if name not in self._told:
            self._told.add(name)
            log.warning(
                "nodes.%s was set at run time: that holds in this pack's own process, ComfyUI does not see it",
                name,
            )


class _LoaderThen:
    """A loader with an action behind it."""

    def __init__(self, loader: Any, action: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._action = action

    def create_module(self, spec: ModuleSpec) -> Any:
        """As the real loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """As the real loader, then the action."""
        self._loader.exec_module(module)
        self._action(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
