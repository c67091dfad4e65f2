"""Finds the node classes that requests name."""

from __future__ import annotations

from typing import Any

from comfy_env_core.worker.loading import SiteLoader


class NodeClasses:
    """Node classes by (module, qualname), as descriptions name them.

    A class made inside a function may share its name with others; from the second on, the qualname gets "#2",
    "#3" in the order of the module's mappings, which is the same in every worker.
    """

    def __init__(self, loader: SiteLoader) -> None:
        self._loader = loader
        self._by_name: dict[tuple[str, str], type] = {}
        self._names: dict[type, tuple[str, str]] = {}

    def name(self, kind: type) -> tuple[str, str]:
        """The (module, qualname) of a class, remembered for `find`."""
        known = self._names.get(kind)
        if known is not None:
            return known
        module, qualname = kind.__module__, kind.__qualname__
        unique, number = qualname, 1
        while (module, unique) in self._by_name:
            number += 1
            unique = f"{qualname}#{number}"
        self._by_name[module, unique] = kind
        self._names[kind] = (module, unique)
        return module, unique

    def find(self, module: str, qualname: str) -> type:
        """The class, importing its module, then the whole site, if need be. Raises LookupError."""
        for load in (None, module, self._loader.site_module):
            if load is not None:
                collect(self, self._loader.load(load))
            found = self._by_name.get((module, qualname)) or self._by_attribute(module, qualname)
            if found is not None:
                return found
        raise LookupError(
            f"{module!r} has no class {qualname!r}. The pack's files changed since its nodes were described; "
            "restart ComfyUI or rebuild the environment."
        )

    def _by_attribute(self, module: str, qualname: str) -> type | None:
        if "<locals>" in qualname or "#" in qualname:
            return None
        found: Any = self._loader.load(module)
        for part in qualname.split("."):
            found = getattr(found, part, None)
        return found if isinstance(found, type) else None


def collect(classes: NodeClasses, module: Any) -> None:
    """Name every node class that the module exports, in the order of its names."""
    for value in list(vars(module).values()):
        for kind in value.values() if type(value) is dict else (value,):
            if is_node_class(kind):
                classes.name(kind)


def is_node_class(value: Any) -> bool:
    """Whether ComfyUI could register it: V1 (FUNCTION with types) or V3 (a schema)."""
    if not isinstance(value, type):
        return False
    v1 = hasattr(value, "FUNCTION") and (hasattr(value, "RETURN_TYPES") or hasattr(value, "INPUT_TYPES"))
    return v1 or is_v3_class(value)


def is_v3_class(value: type) -> bool:
    """Whether it describes itself by a schema."""
    return hasattr(value, "define_schema") and hasattr(value, "GET_SCHEMA")
