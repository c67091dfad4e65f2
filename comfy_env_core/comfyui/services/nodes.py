"""ComfyUI's nodes and model code, used by a worker: looked up by name, performed here."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import nodes
import torch

if TYPE_CHECKING:
    from comfy_env_core.supervision import WorkerSpec

#: What a worker may name. Its objects lead to more, but not to modules of Python's or of other packs.
_PACKAGES = (
    "comfy",
    "comfy_api",
    "comfy_execution",
    "comfy_extras",
    "latent_preview",
    "node_helpers",
    "nodes",
)

_TABLES = ("NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS")


def table_names(asker: WorkerSpec, table: str) -> list[str]:
    """The names in a table of `nodes`, in its order."""
    return list(_table(table))


def table_entry(asker: WorkerSpec, table: str, name: str) -> list[Any]:
    """[value, its `__module__` and `__qualname__` or two empty texts] of an entry, [] if there is none."""
    entries = _table(table)
    if name not in entries:
        return []
    value = entries[name]
    return [value, *((value.__module__, value.__qualname__) if isinstance(value, type) else ("", ""))]


def member(asker: WorkerSpec, module: str, name: str) -> Any:
    """A public name of one of ComfyUI's modules: constants arrive by value, the rest as it is, to be used from afar.

    Raises AttributeError if there is none; for `__all__` gives every name of the module.
    """
    source = _module(module)
    if name == "__all__":
        return [each for each in vars(source) if not each.startswith("_") and not _is_module(source, each)]
    found = getattr(source, name, None)
    if name.startswith("_") or isinstance(found, ModuleType) or not hasattr(source, name):
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    return found


def call(
    asker: WorkerSpec, module: str, qualname: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Calls a function, class or method of one of ComfyUI's modules, in inference mode as its nodes run.

    A method ("VAEDecode.decode") is called on an instance made for it. Raises AttributeError for a name that is not
    there, and what the call raises.
    """
    owner, _, name = qualname.rpartition(".")
    target: Any = member(asker, module, owner) if owner else _module(module)
    with torch.inference_mode():
        if isinstance(target, type) and inspect.isfunction(inspect.getattr_static(target, name)):
            target = target()
        function = getattr(target, name) if owner else member(asker, module, name)
        return function(*args, **kwargs)


def _table(name: str) -> Mapping[str, Any]:
    if name not in _TABLES:
        raise LookupError(f"nodes.{name} is no table that a worker may read")
    table: Mapping[str, Any] = getattr(nodes, name)
    return table


def _module(name: str) -> ModuleType:
    if name.partition(".")[0] not in _PACKAGES:
        raise LookupError(f"{name!r} is no module of ComfyUI that a worker may use")
    return importlib.import_module(name)


def _is_module(module: ModuleType, name: str) -> bool:
    return isinstance(vars(module)[name], ModuleType)
