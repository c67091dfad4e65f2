"""The two places where ComfyUI's imports are turned away from isolated files.

1. `importlib.util.spec_from_file_location` is wrapped: ComfyUI loads every pack root through it, by location, past the
   import system. ComfyUI's own `load_custom_node` then does the registering, web folders and timings included.
2. A finder first in `sys.meta_path` answers for modules below an isolated directory, matched by path: the name of a
   pack's root module is a file path and differs between ComfyUI versions.

Both only hand out modules made by `presence`; neither reads or starts anything by itself.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

#: Scripts of a pack that are no nodes: the host runs them itself.
_HOST_SCRIPTS = frozenset({"prestartup_script.py", "install.py", "uninstall.py"})


class ModuleProvider(Protocol):
    """Fills the module that stands in the host for an isolated file or directory."""

    def provide(self, module: ModuleType, location: Path) -> None: ...


class IsolatedPaths:
    """Which isolated directory a path belongs to: the innermost one. Paths are compared as written and as resolved."""

    def __init__(self, providers: Iterable[tuple[Path, ModuleProvider]]) -> None:
        self._providers: dict[str, ModuleProvider] = {}
        for directory, provider in providers:
            for spelling in {os.path.abspath(directory), os.path.realpath(directory)}:
                self._providers[os.path.normcase(spelling)] = provider
        self._inside = tuple(directory + os.sep for directory in self._providers)
        self._names = frozenset(os.path.basename(directory) for directory in self._providers)

    def provider_of(self, path: str) -> ModuleProvider | None:
        wanted = os.path.normcase(path)
        if wanted not in self._providers and not wanted.startswith(self._inside):
            return None
        while wanted not in self._providers:
            wanted = os.path.dirname(wanted)
        return self._providers[wanted]

    def is_isolated_directory(self, path: str) -> bool:
        return os.path.normcase(path) in self._providers

    def could_be_named(self, name: str) -> bool:
        """Whether some isolated directory has this name: a quick 'no' for the thousands of ordinary imports."""
        return os.path.normcase(name) in self._names


class IsolatedLoader(importlib.abc.Loader):
    """Lets a provider fill the module instead of running the file."""

    def __init__(self, provider: ModuleProvider, location: Path, is_package: bool) -> None:
        self._provider = provider
        self._location = location
        self._is_package = is_package

    def is_package(self, fullname: str) -> bool:
        return self._is_package

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        self._provider.provide(module, self._location)


class IsolatedFinder(importlib.abc.MetaPathFinder):
    """Finds modules and packages below isolated directories; knows nothing else."""

    def __init__(self, paths: IsolatedPaths) -> None:
        self._paths = paths

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        tail = fullname.rpartition(".")[2]
        if path is None:
            return self._find_top_level(fullname) if self._paths.could_be_named(tail) else None
        for entry in path:
            candidate = os.path.join(entry, tail)
            provider = self._paths.provider_of(candidate)
            if provider is not None:
                spec = _spec_for(fullname, candidate, provider)
                if spec is not None:
                    return spec
        return None

    def _find_top_level(self, fullname: str) -> importlib.machinery.ModuleSpec | None:
        """A pack put the parent of its isolated directory on `sys.path`: only that very directory counts."""
        for entry in sys.path:
            candidate = os.path.abspath(os.path.join(entry, fullname))
            if self._paths.is_isolated_directory(candidate):
                provider = self._paths.provider_of(candidate)
                return _spec_for(fullname, candidate, provider) if provider is not None else None
        return None


def _spec_for(
    fullname: str, candidate: str, provider: ModuleProvider
) -> importlib.machinery.ModuleSpec | None:
    """A spec for the directory or file `candidate` (written without `.py`), None when neither exists."""
    if os.path.isdir(candidate):
        init = os.path.join(candidate, "__init__.py")
        location = init if os.path.isfile(init) else candidate
        loader = IsolatedLoader(provider, Path(location), is_package=True)
        spec = importlib.machinery.ModuleSpec(fullname, loader, origin=location, is_package=True)
        spec.submodule_search_locations = [candidate]
    elif os.path.isfile(candidate + ".py"):
        location = candidate + ".py"
        loader = IsolatedLoader(provider, Path(location), is_package=False)
        spec = importlib.machinery.ModuleSpec(fullname, loader, origin=location)
    else:
        return None
    spec.has_location = os.path.isfile(location)
    return spec


def install(paths: IsolatedPaths) -> Callable[[], None]:
    """Puts both hooks in place; returns the function that takes them out again (for tests)."""
    original = importlib.util.spec_from_file_location

    @functools.wraps(original)
    def spec_from_file_location(name: str, location: Any = None, **kwargs: Any) -> Any:
        # A loader of the caller's own is the caller's decision: an organisation policy loads packs that way.
        if location is not None and kwargs.get("loader") is None:
            path = os.path.abspath(os.fsdecode(location))
            provider = paths.provider_of(path)
            if provider is not None and os.path.basename(path) not in _HOST_SCRIPTS:
                is_package = os.path.basename(path) == "__init__.py"
                kwargs["loader"] = IsolatedLoader(provider, Path(path), is_package)
        return original(name, location, **kwargs)

    finder = IsolatedFinder(paths)
    importlib.util.spec_from_file_location = spec_from_file_location
    sys.meta_path.insert(0, finder)

    def uninstall() -> None:
        importlib.util.spec_from_file_location = original
        sys.meta_path.remove(finder)

    return uninstall
