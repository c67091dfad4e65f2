"""Finds the node classes that requests name."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from comfy_env_core.worker.nodes.entrypoints import ENTRYPOINT, Entrypoints
from comfy_env_core.worker.nodes.loading import SiteLoader


class NodeClasses:
    """Node classes by (module, path), as descriptions name them.

    The path is the class's qualname, as long as its module has it under that name. A class made inside a function is
    named by where it is exported instead: "NODE_CLASS_MAPPINGS[Blur]", or "Blur" for a module's attribute. One of a
    `comfy_entrypoint` is always named "comfy_entrypoint()[node id]", so that its extension is loaded before it runs.
    """

    def __init__(self, loader: SiteLoader, entrypoints: Entrypoints) -> None:
        self._loader = loader
        self.entrypoints = entrypoints
        self._names: dict[type, tuple[str, str]] = {}

    def name(self, kind: type, exporter: str, path: str) -> tuple[str, str]:
        """The (module, path) of a class that the module `exporter` has at `path`; the first answer stays."""
        if kind not in self._names:
            own = (kind.__module__, kind.__qualname__)
            is_found = not path.startswith(ENTRYPOINT) and self._at(*own) is kind
            self._names[kind] = own if is_found else (exporter, path)
        return self._names[kind]

    def find(self, module: str, path: str) -> type:
        """The class, importing its module, and before it the whole site if need be. Raises LookupError."""
        found = self._at(module, path)
        if found is None:
            # The module may only be importable, or complete, once the site's own __init__ ran.
            self._loader.load(self._loader.site_module)
            found = self._at(module, path)
        if found is None:
            raise LookupError(
                f"{module!r} has no class {path!r}. The pack's files changed since its nodes were described; "
                "restart ComfyUI or rebuild the environment."
            )
        return found

    def _at(self, module: str, path: str) -> type | None:
        if "<locals>" in path:
            return None
        try:
            holder = self._loader.load(module)
        except ImportError as error:
            if error.name != module:  # it is there and failed
                raise
            return None
        mapping, _, key = path.partition("[")
        found: Any
        if not key:
            found = _attribute(holder, path)
        elif mapping == ENTRYPOINT:
            found = self.entrypoints.classes(holder).get(key[:-1])
        else:
            found = dict(_texts(getattr(holder, mapping, None))).get(key[:-1])
        return found if isinstance(found, type) else None


def exported_classes(name: str, value: Any) -> dict[str, type] | None:
    """The node classes of one export of a module by their path; None if it is something else.

    `value` is a node class, or a dict with nothing but such, whatever its name.
    """
    if is_node_class(value):
        return {name: value}
    if not isinstance(value, dict) or not value:
        return None
    is_any_class_one = name == "NODE_CLASS_MAPPINGS"
    for kind in value.values():
        if not (isinstance(kind, type) if is_any_class_one else is_node_class(kind)):
            return None
    return {f"{name}[{key}]": kind for key, kind in _texts(value)}


def _texts(mapping: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(mapping, dict):
        yield from ((str(key), value) for key, value in mapping.items())


def _attribute(holder: ModuleType, path: str) -> Any:
    found: Any = holder
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def is_node_class(value: Any) -> bool:
    """Whether ComfyUI could register it: V1 (FUNCTION with types) or V3 (a schema)."""
    if not isinstance(value, type):
        return False
    return is_v3_class(value) or (
        hasattr(value, "FUNCTION") and (hasattr(value, "RETURN_TYPES") or hasattr(value, "INPUT_TYPES"))
    )


def is_v3_class(value: type) -> bool:
    """Whether it describes itself by a schema."""
    return hasattr(value, "define_schema") and hasattr(value, "GET_SCHEMA")
