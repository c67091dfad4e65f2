"""ComfyUI's own modules in a worker, where what they work on is in the host: its nodes and its models.

`nodes` is not executed before something of it is used: it imports all of ComfyUI's model code, and packs often import
it without need, or without knowing (`comfy_execution.graph` does). Nor are ComfyUI's other modules, which in its own
process are all there: `import comfy` is enough for `comfy.samplers`.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from comfy_env_core.worker.comfyui.host_nodes import TABLES, HostTable
from comfy_env_core.worker.comfyui.hosted import Hosting
from comfy_env_core.worker.comfyui.hosted_memory import adjust_memory
from comfy_env_core.worker.comfyui.lazy_modules import LazyLoader
from comfy_env_core.worker.configuration import Configuration
from comfy_env_core.worker.home import Home

log = logging.getLogger("comfy-env.worker")

#: Whose modules are imported when they are asked for.
_PACKAGES = ("comfy", "comfy_api", "comfy_execution", "comfy_extras")


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
        if fullname.partition(".")[0] not in _PACKAGES and not self._hosting.is_concerned(fullname):
            return None
        spec = self._found_by_others(fullname, path, target)
        if spec is not None and spec.submodule_search_locations is not None:
            spec.loader = _LoaderThen(spec.loader, _import_on_demand)  # type: ignore[assignment]  # as above
        elif spec is not None and spec.loader is not None:
            action = self._action(fullname)
            if action is not None:
                spec.loader = _LoaderThen(spec.loader, action)  # type: ignore[assignment]  # as above
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
            own = vars(module).get(table, {})
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


def _import_on_demand(package: ModuleType) -> None:
    def look_up(name: str) -> Any:
        child = f"{package.__name__}.{name}"
        if name.startswith("__") or importlib.util.find_spec(child) is None:
            raise AttributeError(f"module {package.__name__!r} has no attribute {name!r}")
        return importlib.import_module(child)

    if "__getattr__" not in vars(package):
        package.__getattr__ = look_up  # type: ignore[method-assign]


class _LoaderThen:
    """A loader with an action behind it. A package without `__init__.py` has none."""

    def __init__(self, loader: Any, action: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._action = action

    def create_module(self, spec: ModuleSpec) -> Any:
        """As the real loader."""
        return None if self._loader is None else self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """As the real loader, then the action."""
        if self._loader is not None:
            self._loader.exec_module(module)
        self._action(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
