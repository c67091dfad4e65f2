"""`[options] in_host`: nodes of an isolated site that stay in ComfyUI's own process, next to its models.

Such a node is the pack's real class, from a module that is imported here; see `host_modules`. Its site goes on to run
everything else in its worker.
"""

from __future__ import annotations

import difflib
import fnmatch
import importlib
import logging
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Protocol

from comfy_env_core.comfyui.imports.host_modules import HostModules
from comfy_env_core.compat.entrypoints import nodes_of_entrypoint
from comfy_env_core.sites.runtime import Description, SiteRuntime

log = logging.getLogger("comfy-env")

#: Follows the name of the site's own module.
IN_HOST_SUFFIX = "_in_host"

_ENTRYPOINT = "comfy_entrypoint()"


class InHostImportError(ImportError):
    """A node that shall stay in the host, and whose module cannot be imported there. Says what to do."""


class MakesProxies(Protocol):
    """What `ProxyFactory` offers."""

    def proxies(self, description: Mapping[str, Any]) -> list[type]: ...

    def forget_all(self) -> None: ...


class MixedFactory:
    """Makes the proxies of a site as `factory` does, but for the nodes that its file keeps in the host."""

    def __init__(self, factory: MakesProxies, site: SiteRuntime) -> None:
        self._factory = factory
        self._site = site
        spec = site.site.spec
        self._patterns = spec.options.in_host if spec is not None else ()
        self._modules = HostModules(site.own_module_name + IN_HOST_SUFFIX, site.site.directory)
        self._classes: dict[tuple[str, str], type] = {}
        self._is_warned = False

    def proxies(self, description: Description) -> list[type]:
        """The classes of a description, in its order."""
        made = self._factory.proxies(description)
        if not self._patterns:
            return made
        for index, names in _names_by_class(description).items():
            chosen = [name for name in names if self._is_in_host(name)]
            if chosen:
                made[index] = self._class(description["classes"][index], chosen[0], made[index])
        self._warn_of_unknown(description)
        return made

    def forget_all(self) -> None:
        """The pack's code changed: import anew."""
        self._factory.forget_all()
        self._classes.clear()
        self._modules.remove()

    def _is_in_host(self, name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self._patterns)

    def _class(self, entry: Mapping[str, Any], name: str, proxy: type) -> type:
        key = (entry["module"], entry["qualname"])
        if key not in self._classes:
            try:
                self._classes[key] = self._import(*key)
            # SystemExit too: a pack that raises it on import has failed, ComfyUI has not.
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                self._classes[key] = self._failing(proxy, name, error)
        return self._classes[key]

    def _import(self, module: str, path: str) -> type:
        """Raises what the import raises, and LookupError."""
        own = self._site.own_module_name
        if module != own and not module.startswith(own + "."):
            raise LookupError(f"its class is defined in {module!r}, outside of the isolated directory")
        self._modules.install()
        found = _class_at(importlib.import_module(own + IN_HOST_SUFFIX + module[len(own) :]), path)
        if not isinstance(found, type):
            raise LookupError(f"{module!r} has no class {path!r} when it is imported in ComfyUI's process")
        return found

    def _failing(self, proxy: type, name: str, error: BaseException) -> type:
        """Looks like the node and explains, when it is run, why it cannot."""
        site = self._site.site
        message = (
            f"The node {name!r} of {self._site.id!r} is kept in ComfyUI's own process by in_host under [options] in "
            f"{str(site.config_path)!r}, and its code cannot be imported there: {type(error).__name__}: {error}. "
            "Move what it does not need out of its module, install what is missing for ComfyUI, or take it out of "
            "in_host."
        )
        log.error("%s", message, exc_info=error)

        def fail(cls: type, *args: Any, **kwargs: Any) -> Any:
            raise InHostImportError(message) from error

        names = {getattr(proxy, "FUNCTION", None), "execute" if hasattr(proxy, "execute") else None}
        return type(proxy.__name__, (proxy,), {each: classmethod(fail) for each in names if each})

    def _warn_of_unknown(self, description: Description) -> None:
        """Once, as soon as all modules that the host wants are described."""
        if self._is_warned or not self._site.has_described_all():
            return
        self._is_warned = True
        record = self._site.record
        descriptions = [description, *(record.descriptions.values() if record is not None else ())]
        known = sorted(
            {name for each in descriptions for names in _names_by_class(each).values() for name in names}
        )
        for pattern in self._patterns:
            if not fnmatch.filter(known, pattern):
                near = difflib.get_close_matches(pattern, known, n=3) or known[:5]
                log.warning(
                    "%s: in_host names %r, which is no node of it. %s",
                    self._site.site.config_path,
                    pattern,
                    f"Did you mean {', '.join(map(repr, near))}?" if near else "It has no nodes.",
                )


def _names_by_class(description: Description) -> dict[int, list[str]]:
    """The node ids under which each class of a description is exported, by its number there."""
    names: dict[int, list[str]] = {}
    for export in description["exports"].values():
        for name, index in (export.get("classes") or export.get("entrypoint") or {}).items():
            names.setdefault(index, []).append(name)
    return names


def _class_at(module: ModuleType, path: str) -> Any:
    """`path`: a qualname, "MAPPING[key]", or "comfy_entrypoint()[node id]"; see the worker's `classes`."""
    mapping, _, key = path.partition("[")
    if not key:
        found: Any = module
        for part in path.split("."):
            found = getattr(found, part, None)
        return found
    if mapping == _ENTRYPOINT:
        return nodes_of_entrypoint(module).get(key[:-1])
    return (getattr(module, mapping, None) or {}).get(key[:-1])
