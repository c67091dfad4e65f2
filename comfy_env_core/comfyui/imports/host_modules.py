"""Modules of an isolated site imported in ComfyUI's process, for the nodes that stay there.

They have a name of their own, beside the stand-in that has the real one. Of the site only those files are executed
that are imported: a package's `__init__.py` is run when something is asked of the package that is no module of it,
because often it imports what only the environment has.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any


class HostModules:
    """Finds the site's modules under its name with the suffix, past the hooks that isolate them."""

    def __init__(self, name: str, directory: Path) -> None:
        self._name = name
        self._directory = directory

    def install(self) -> None:
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def remove(self) -> None:
        """Takes the modules out as well."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for name in list(sys.modules):
            if self._has(name):
                del sys.modules[name]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Called by the import system."""
        if not self._has(fullname):
            return None
        place = self._directory.joinpath(*fullname[len(self._name) + 1 :].split("."))
        if place.is_dir():
            loader = _PackageLoader(fullname, str(place / "__init__.py"))
            spec = importlib.machinery.ModuleSpec(fullname, loader, origin=loader.path, is_package=True)
            spec.submodule_search_locations = [str(place)]
        elif place.with_name(place.name + ".py").is_file():
            source = str(place.with_name(place.name + ".py"))
            spec = importlib.machinery.ModuleSpec(fullname, _SourceLoader(fullname, source), origin=source)
        else:
            return None
        spec.has_location = True
        return spec

    def _has(self, name: str) -> bool:
        return name == self._name or name.startswith(self._name + ".")


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Runs a file of the pack without leaving bytecode in it."""

    def exec_module(self, module: ModuleType) -> None:
        exec(self.source_to_code(self.get_data(self.path), self.path), vars(module))


class _PackageLoader(_SourceLoader):
    """Runs a package's `__init__.py` when something is asked of it that is neither there nor a module in it."""

    def __init__(self, fullname: str, path: str) -> None:
        super().__init__(fullname, path)
        self._is_executed = not Path(path).is_file()

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Package(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Later, if at all."""

    def look_up(self, module: ModuleType, name: str) -> Any:
        """Raises AttributeError, and what the code of the package raises."""
        child = f"{module.__name__}.{name}"
        if importlib.util.find_spec(child) is not None:
            return importlib.import_module(child)
        if not self._is_executed:
            self._is_executed = True
            try:
                super().exec_module(module)
            except BaseException:
                self._is_executed = False
                raise
        if name not in vars(module):
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        return vars(module)[name]


class _Package(ModuleType):
    def __getattr__(self, name: str) -> Any:
        # `import *` asks for __all__; what else has such a name is asked of every module.
        spec = self.__spec__
        if (name.startswith("__") and name != "__all__") or spec is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        assert isinstance(spec.loader, _PackageLoader)
        return spec.loader.look_up(self, name)
