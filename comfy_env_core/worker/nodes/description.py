"""What the host needs to know of a module to stand in for it: its node classes and its constants.

`describe_module` gives::

    {"python": "3.10.13", "module": name,
     "classes": [{"module", "qualname", "v3": bool, "attributes": {name: frozen},
                  "input_types": frozen or None, "input_types_error": text or None,
                  "input_types_by_caller": {function of ComfyUI: frozen},
                  "functions": {name: {"kind": "instance" | "class" | "static" | "property", "async": bool,
                                       "parameters": [[name, kind, has_default], ...]}},
                  "schema": None or what `schemas` says of a V3 class}],
     "exports": {name: {"class": i} | {"classes": {key: i}} | {"entrypoint": {node id: i}} |
                       {"entrypoint_error": text} | {"value": frozen} | {"opaque": type name}}}

`frozen` is what `wire.snapshot.freeze` gives. `parameters` are those of the function as written, with `self` or
`cls`; `kind` numbers are inspect's (0 positional only, 1 positional or keyword, 2 *args, 3 keyword only, 4 **kw).
`module` and `qualname` are what `NodeClasses` finds the class by.
"""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from comfy_env_core.wire.values.file_lists import recording_file_names
from comfy_env_core.wire.values.snapshot import freeze
from comfy_env_core.worker.nodes.classes import NodeClasses, exported_classes, is_v3_class
from comfy_env_core.worker.nodes.entrypoints import ENTRYPOINT, has_entrypoint
from comfy_env_core.worker.nodes.input_types import describe_input_types
from comfy_env_core.worker.nodes.schemas import describe_schema, own_names

ANY_PARAMETERS = [["args", 2, False], ["kwargs", 4, False]]

#: Read by ComfyUI by name, so that they count also where only a metaclass knows them.
READ_BY_COMFYUI = (
    "FUNCTION", "CATEGORY", "DESCRIPTION", "RETURN_TYPES", "RETURN_NAMES", "OUTPUT_IS_LIST", "OUTPUT_TOOLTIPS",
    "OUTPUT_NODE", "INPUT_IS_LIST", "NOT_IDEMPOTENT", "DEPRECATED", "EXPERIMENTAL", "API_NODE", "SEARCH_ALIASES",
    "DEV_ONLY", "ESSENTIALS_CATEGORY", "HAS_INTERMEDIATE_OUTPUT",
)  # fmt: skip


def describe_module(module: ModuleType, classes: NodeClasses) -> dict[str, Any]:
    """Describe an imported module. Never raises for foreign code: its failures become part of the answer."""
    described = _Classes(module.__name__, classes)
    # First: its classes are found through it, whatever else they are exported as.
    members = sorted(vars(module).items(), key=lambda member: member[0] != "comfy_entrypoint")
    with recording_file_names():
        exports = {
            name: _describe_export(name, value, module, described)
            for name, value in members
            if not (name.startswith("__") and name.endswith("__")) and not isinstance(value, ModuleType)
        }
        entries = [described.describe(kind) for kind in described.indices]
    return {
        "python": ".".join(map(str, sys.version_info[:3])),
        "module": module.__name__,
        "classes": entries,
        "exports": exports,
    }


def describe_inputs(kind: type) -> dict[str, Any]:
    """The part of a class's description that may change while the worker runs: `input_types` and what belongs to it."""
    with recording_file_names():
        if not is_v3_class(kind):
            return describe_input_types(kind)
        try:
            schema, error = describe_schema(kind), None
        except Exception as raised:  # noqa: BLE001  # foreign code; ComfyUI would show the other nodes
            schema, error = None, _in_words(raised)
        return {
            "input_types": schema.pop("input_types") if schema is not None else None,
            "input_types_error": error,
            "input_types_by_caller": {},
            "schema": schema,
        }


class _Classes:
    """The classes found so far, numbered in the order in which they were found."""

    def __init__(self, exporter: str, classes: NodeClasses) -> None:
        self.indices: dict[type, int] = {}
        self._exporter = exporter
        self.classes = classes

    def add(self, path: str, kind: type) -> int:
        self.classes.name(kind, self._exporter, path)
        return self.indices.setdefault(kind, len(self.indices))

    def describe(self, kind: type) -> dict[str, Any]:
        module, qualname = self.classes.name(kind, self._exporter, kind.__qualname__)
        is_v3 = is_v3_class(kind)
        return {
            "module": module,
            "qualname": qualname,
            "v3": is_v3,
            "schema": None,
            **describe_inputs(kind),
            "attributes": {} if is_v3 else dict(_attributes(kind)),
            "functions": dict(_v3_functions(kind) if is_v3 else _functions(kind, _public_names(kind))),
        }


def _describe_export(name: str, value: Any, module: ModuleType, described: _Classes) -> dict[str, Any]:
    if name == "comfy_entrypoint" and has_entrypoint(module):
        return _describe_entrypoint(module, described)
    kinds = exported_classes(name, value)
    if kinds is not None:
        indices = {path: described.add(path, kind) for path, kind in kinds.items()}
        if name in indices:
            return {"class": indices[name]}
        return {"classes": {path[len(name) + 1 : -1]: index for path, index in indices.items()}}
    frozen = freeze(value)
    if isinstance(frozen, dict) and "$opaque" in frozen:
        return {"opaque": frozen["$opaque"]}
    return {"value": frozen}


def _describe_entrypoint(module: ModuleType, described: _Classes) -> dict[str, Any]:
    try:
        kinds = described.classes.entrypoints.classes(module)
    except Exception as error:  # noqa: BLE001  # foreign code; in ComfyUI it is a line in the log, by the same words
        return {"entrypoint_error": _in_words(error)}
    return {
        "entrypoint": {
            node_id: described.add(f"{ENTRYPOINT}[{node_id}]", kind) for node_id, kind in kinds.items()
        }
    }


def _in_words(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(type(error), error)).strip()


def _public_names(kind: type) -> list[str]:
    """What the class and its bases define."""
    names: dict[str, None] = {}
    for base in reversed(kind.__mro__[:-1]):
        names.update((name, None) for name in vars(base) if not name.startswith("_"))
    return list(names)


def _attributes(kind: type) -> Iterator[tuple[str, Any]]:
    for name in dict.fromkeys([*_public_names(kind), *READ_BY_COMFYUI]):
        try:
            value = getattr(kind, name)
        except Exception:  # noqa: BLE001  # a descriptor of foreign code that fails: ComfyUI would see no attribute
            continue
        if not callable(value) and not isinstance(value, property):
            yield name, freeze(value)


def _v3_functions(kind: type) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of ComfyUI's hooks only those that the class overrides: ComfyUI looks for them in `__dict__`."""
    yield from _functions(kind, own_names(kind))


def _functions(kind: type, names: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in names:
        raw = inspect.getattr_static(kind, name, None)
        if isinstance(raw, property):
            yield name, {"kind": "property", "async": False, "parameters": []}
            continue
        if isinstance(raw, type) or not (callable(raw) or isinstance(raw, (classmethod, staticmethod))):
            continue
        form = {classmethod: "class", staticmethod: "static"}.get(type(raw), "instance")
        function = raw.__func__ if isinstance(raw, (classmethod, staticmethod)) else raw
        yield (
            name,
            {
                "kind": form,
                "async": inspect.iscoroutinefunction(function),
                "parameters": _parameters(function),
            },
        )


def _parameters(function: Any) -> list[list[Any]]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C without a signature
        return ANY_PARAMETERS
    return [[item.name, int(item.kind), item.default is not item.empty] for item in parameters]
