"""The two places where Python's imports in ComfyUI's process are turned away from isolated files.

1. A finder first in `sys.meta_path` answers for modules at or below an isolated directory, matched by path: the name
   of a pack's root module is a file path and differs between ComfyUI versions.
2. The loaders with which Python runs a file (source, bytecode, extension) hand one that lies in an isolated directory
   to its provider instead of running it. ComfyUI loads pack roots by location, past every finder, and so do packs that
   loop over their files; this also reaches those that took `spec_from_file_location` before we were there, or name
   the loader themselves. ComfyUI's own `load_custom_node` goes on to do the registering.

What neither sees, a file that is read and executed as text, is looked for afterwards; see `strays`.
"""

from __future__ import annotations

import functools
import importlib.machinery
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from comfy_env_core.comfyui.imports.isolated_paths import IsolatedPaths, Place

#: Of a pack that is isolated as a whole, the host's own scripts; ComfyUI-Manager runs them in a process of their own.
HOST_SCRIPTS = frozenset({"install.py", "uninstall.py"})
_PRESTARTUP_SCRIPT = "prestartup_script.py"
#: What a module can be made of besides source. The endings are those of any Python, not only of this one.
_COMPILED_ENDINGS = (".so", ".pyd", ".pyc")


class IsolatedLoader:
    """Lets a provider fill the module instead of running the file."""

    def __init__(self, paths: IsolatedPaths, place: Place, is_package: bool) -> None:
        self._paths = paths
        self._place = place
        self._is_package = is_package

    def is_package(self, fullname: str) -> bool:
        return self._is_package

    def get_code(self, fullname: str) -> None:
        """Asked by `runpy`, which would run it here."""
        raise ImportError(
            f"{str(self._place.location)!r} cannot be run as a program: it belongs to an isolated directory, whose "
            "code runs in an environment of its own. Import it instead."
        )

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        self._paths.fill(module, self._place)


class IsolatedFinder:
    """Finds modules and packages at or below isolated directories; knows nothing else."""

    def __init__(self, paths: IsolatedPaths) -> None:
        self._paths = paths

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        tail = fullname.rpartition(".")[2]
        if path is None:
            return self._find_top_level(fullname)
        for entry in path:
            spec = self._find_in(entry, tail, fullname)
            if spec is not None:
                return spec
        return None

    def _find_in(self, entry: str, tail: str, fullname: str) -> importlib.machinery.ModuleSpec | None:
        candidate = os.path.join(entry, tail)
        place = self._paths.place_of(candidate)
        return _spec_for(fullname, candidate, self._paths, place) if place is not None else None

    def _find_top_level(self, fullname: str) -> importlib.machinery.ModuleSpec | None:
        """A pack put an isolated directory, or the parent of one, on `sys.path`.

        Whatever stands before that entry keeps its right to the name: many an isolated directory is called "nodes".
        """
        for index, entry in enumerate(sys.path):
            if not self._paths.leads_in(entry):
                continue
            spec = self._find_in(os.path.abspath(entry), fullname, fullname)
            if spec is not None:
                # A mere folder gives way to a module anywhere, and is as good as not there.
                others = sys.path[:index] if spec.origin is not None else sys.path
                return None if _is_found_in(others, fullname) else spec
        return None


def _is_found_in(search_path: Sequence[str], fullname: str) -> bool:
    """Whether Python would take the module from itself or from there."""
    if importlib.machinery.BuiltinImporter.find_spec(fullname) is not None:
        return True
    if importlib.machinery.FrozenImporter.find_spec(fullname) is not None:
        return True
    found = importlib.machinery.PathFinder.find_spec(fullname, search_path)
    # Without a loader it is a mere folder, too.
    return found is not None and found.loader is not None


def _spec_for(
    fullname: str, candidate: str, paths: IsolatedPaths, place: Place
) -> importlib.machinery.ModuleSpec | None:
    """A spec for the module that `candidate` (a path without ending) is, in the order in which Python looks."""
    init = os.path.join(candidate, "__init__.py")
    if os.path.isfile(init):
        return _spec(
            fullname, IsolatedLoader(paths, place.at("__init__.py"), is_package=True), init, candidate
        )
    module = IsolatedLoader(paths, place.with_ending(".py"), is_package=False)
    if os.path.isfile(candidate + ".py"):
        return _spec(fullname, module, candidate + ".py")
    compiled = _compiled_file(candidate)
    if compiled is not None:
        return _spec(fullname, module, compiled)
    if os.path.isdir(candidate):
        return _spec(fullname, IsolatedLoader(paths, place, is_package=True), None, candidate)
    return None


def _spec(
    fullname: str, loader: Any, file: str | None, folder: str | None = None
) -> importlib.machinery.ModuleSpec:
    """No `file`: a package without `__init__.py`. No `folder`: not a package. Any: a loader by its methods."""
    spec = importlib.machinery.ModuleSpec(fullname, loader, origin=file, is_package=folder is not None)
    if folder is not None:
        spec.submodule_search_locations = [folder]
    spec.has_location = file is not None
    return spec


def _compiled_file(candidate: str) -> str | None:
    """A module without source: made for the environment's Python, so its ending says nothing to this one."""
    folder, tail = os.path.split(candidate)
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return None
    for name in names:
        if name.startswith(tail + ".") and name.endswith(_COMPILED_ENDINGS):
            return os.path.join(folder, name)
    return None


def install(paths: IsolatedPaths) -> Callable[[], None]:
    """Puts both hooks in place; returns the function that takes them out again (for tests)."""
    finder: Any = IsolatedFinder(paths)  # Any: a finder by its method
    sys.meta_path.insert(0, finder)
    restore = [
        _turn_loader(importlib.machinery.SourceFileLoader, paths),
        _turn_loader(importlib.machinery.SourcelessFileLoader, paths),
        _turn_loader(importlib.machinery.ExtensionFileLoader, paths),
        _keep_from_loading(importlib.machinery.ExtensionFileLoader, paths),
    ]

    def uninstall() -> None:
        sys.meta_path.remove(finder)
        for undo in reversed(restore):
            undo()

    return uninstall


def _turn_loader(loader: type, paths: IsolatedPaths) -> Callable[[], None]:
    """Makes `loader.exec_module` ask the provider of an isolated file; returns what undoes it."""
    original = loader.exec_module  # type: ignore[attr-defined]  # every file loader has it

    @functools.wraps(original)
    def exec_module(self: Any, module: ModuleType) -> None:
        place = paths.place_of(os.path.abspath(self.path))
        if place is None or place.is_top_level(HOST_SCRIPTS):
            original(self, module)
        elif place.is_top_level({_PRESTARTUP_SCRIPT}):
            pass  # Its imports may be missing here. The pack's worker runs it, before it imports the pack.
        else:
            paths.fill(module, place)

    return _replace(loader, "exec_module", exec_module)


def _keep_from_loading(loader: type, paths: IsolatedPaths) -> Callable[[], None]:
    """An extension's code comes into the process with the module object, before it is executed."""
    original = loader.create_module  # type: ignore[attr-defined]  # every loader has it

    @functools.wraps(original)
    def create_module(self: Any, spec: importlib.machinery.ModuleSpec) -> Any:
        return None if paths.place_of(os.path.abspath(self.path)) is not None else original(self, spec)

    return _replace(loader, "create_module", create_module)


def _replace(owner: type, name: str, value: Any) -> Callable[[], None]:
    own = vars(owner).get(name)
    setattr(owner, name, value)
    if own is None:  # inherited
        return lambda: delattr(owner, name)
    return lambda: setattr(owner, name, own)
