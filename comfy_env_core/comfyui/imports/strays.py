"""Code of isolated directories that ran in ComfyUI's process after all: told, and its nodes taken out.

The hooks turn away every import. A pack can still read a file and execute its text, or have it run by a loader of its
own making. To watch for that while it happens takes an audit hook, which makes every `id()` and `sys._getframe()` of
the process four times as slow for as long as it runs (measured); so the result is looked at when packs were loaded.
"""

from __future__ import annotations

import inspect
import logging
import sys
import weakref
from collections.abc import Collection, Iterator, MutableMapping
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from comfy_env_core.comfyui.imports.hooks import HOST_SCRIPTS
from comfy_env_core.comfyui.imports.in_host import IN_HOST_SUFFIX
from comfy_env_core.comfyui.imports.isolated_paths import IsolatedPaths
from comfy_env_core.sites.runtime import SiteRuntime

log = logging.getLogger("comfy-env")

_ADVICE = (
    "It belongs to an isolated directory and must not run in ComfyUI's own Python, where its packages are missing or "
    "others. Import it (import, importlib) instead of executing its text or running it by a loader of the pack's own."
)


class Strays:
    """Looks for them, and tells each once."""

    def __init__(self, paths: IsolatedPaths, sites: Collection[SiteRuntime]) -> None:
        self._paths = paths
        self._sites = sites
        self._in_host = tuple(site.own_module_name + IN_HOST_SUFFIX for site in sites)
        self._told: set[str] = set()
        # Looked at before, and found to be none. ComfyUI's event loop waits while this looks, and packs that become
        # ready one after the other make it look as often.
        self._known_modules: dict[str, int] = {}  # name -> id of the module
        self._known_nodes: weakref.WeakSet[type] = weakref.WeakSet()

    def drop_earlier_modules(self) -> None:
        """Forgets those that prestartup scripts imported before the hooks were there: the next import is turned."""
        for name, module in list(sys.modules.items()):
            if self._known_modules.get(name) == id(module):
                continue
            file = self._isolated_file(name, module)
            if file is None:
                self._known_modules[name] = id(module)
            else:
                del sys.modules[name]
                log.error(
                    "The prestartup script of a pack that ComfyUI came to before us imported %r from %r, which belongs "
                    "to an isolated directory. It ran in ComfyUI's own Python; further imports will not.",
                    name,
                    str(file),
                )

    def take_out(self, node_classes: MutableMapping[str, Any]) -> None:
        """Removes them from ComfyUI's mapping of nodes. Modules stay: who holds them cannot be known."""
        for name, module in list(sys.modules.items()):
            if self._known_modules.get(name) == id(module):
                continue
            file = self._isolated_file(name, module)
            if file is None:
                self._known_modules[name] = id(module)
            else:
                self._tell(name, f"The module {name!r} in ComfyUI's process was made from {str(file)!r}.")
        for name, node in list(node_classes.items()):
            if isinstance(node, type) and node in self._known_nodes:
                continue
            source = self._source_of(name, node)
            if source is None and isinstance(node, type) and _is_from_files(node):
                self._known_nodes.add(node)
            elif source is not None:
                del node_classes[name]
                self._tell(name, f"The node {name!r} was taken out of ComfyUI: its code is from {source}.")

    def _tell(self, key: str, problem: str) -> None:
        if key not in self._told:
            self._told.add(key)
            log.error("%s %s", problem, _ADVICE)

    def _isolated_file(self, name: str, module: object) -> Path | None:
        if not isinstance(module, ModuleType):
            return None
        # Past what a module that loads itself when it is touched has in the way.
        file = object.__getattribute__(module, "__dict__").get("__file__")
        place = self._paths.place_of(file) if isinstance(file, str) else None
        if place is None or place.is_top_level(HOST_SCRIPTS):
            return None
        return None if self._paths.is_filled(module) or self._is_in_host(name) else place.location

    def _source_of(self, name: str, node: Any) -> str | None:
        """The isolated file that the node's code is from, None for all others."""
        if self._is_in_host(getattr(node, "__module__", "")):
            return None
        for code in _codes(node):
            if not code.co_filename.startswith("<"):
                place = self._paths.place_of(code.co_filename)
                return repr(str(place.location)) if place is not None else None
            for site in self._sites:
                # Executed from a text without a file name: only the description knows whose it is.
                if _runs_in_pack(node, site) and _describes(site, name, node.__qualname__):
                    return f"the text of a file in {str(site.site.directory)!r}"
        return None

    def _is_in_host(self, module: str) -> bool:
        """Kept there by the pack's file, see `in_host`."""
        if IN_HOST_SUFFIX not in module:
            return False
        return any(module == name or module.startswith(name + ".") for name in self._in_host)


def _codes(node: Any) -> Iterator[CodeType]:
    """The code of the function that ComfyUI would run."""
    for name in (getattr(node, "FUNCTION", None), "execute"):
        function = inspect.getattr_static(node, name, None) if isinstance(name, str) else None
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        if isinstance(code, CodeType):
            yield code


def _is_from_files(node: type) -> bool:
    """Whether all that will ever be known of where its code is from is known."""
    return not any(code.co_filename.startswith("<") for code in _codes(node))


def _runs_in_pack(node: type, site: SiteRuntime) -> bool:
    """Whether the class was made by the host's part of the pack."""
    module, root = node.__module__, site.pack_module_name
    return module == root or module.startswith(root + ".")


def _describes(site: SiteRuntime, name: str, qualname: str) -> bool:
    """Whether a module of the site exports the node under that name and that class."""
    for description in site.record.descriptions.values() if site.record is not None else ():
        for export in description["exports"].values():
            index = (export.get("classes") or {}).get(name)
            if index is not None and description["classes"][index]["qualname"] == qualname:
                return True
    return False
