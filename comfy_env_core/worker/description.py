"""What the host needs to know of a module to stand in for it: its node classes and its constants.

`describe_module` gives::

    {"python": "3.10.13", "module": name,
     "classes": [{"module", "qualname", "v3": bool, "attributes": {name: frozen},
                  "input_types": frozen or None, "input_types_error": text or None,
                  "functions": {name: {"kind": "instance" | "class" | "static", "async": bool,
                                       "parameters": [[name, kind, has_default], ...]}}}],
     "exports": {name: {"class": i} | {"classes": {key: i}} | {"value": frozen} | {"opaque": type name}}}

`frozen` is what `wire.snapshot.freeze` gives. `parameters` are those of the function as written, with `self` or
`cls`; `kind` numbers are inspect's (0 positional only, 1 positional or keyword, 2 *args, 3 keyword only, 4 **kw).
"""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from comfy_env_core.wire.values.snapshot import freeze
from comfy_env_core.worker.classes import NodeClasses, is_node_class, is_v3_class

ANY_PARAMETERS = [["args", 2, False], ["kwargs", 4, False]]


def describe_module(module: ModuleType, classes: NodeClasses) -> dict[str, Any]:
    """Describe an imported module. Never raises for foreign code: its failures become part of the answer."""
    described: dict[type, int] = {}
    exports = {
        name: _describe_export(name, value, described)
        for name, value in list(vars(module).items())
        if not (name.startswith("__") and name.endswith("__")) and not isinstance(value, ModuleType)
    }
    return {
        "python": ".".join(map(str, sys.version_info[:3])),
        "module": module.__name__,
        "classes": [_describe_class(kind, classes) for kind in described],
        "exports": exports,
    }


def _describe_export(name: str, value: Any, described: dict[type, int]) -> dict[str, Any]:
    if is_node_class(value):
        return {"class": described.setdefault(value, len(described))}
    if _is_mapping_of_classes(name, value):
        return {
            "classes": {str(key): described.setdefault(kind, len(described)) for key, kind in value.items()}
        }
    frozen = freeze(value)
    if isinstance(frozen, dict) and "$opaque" in frozen:
        return {"opaque": frozen["$opaque"]}
    return {"value": frozen}


def _is_mapping_of_classes(name: str, value: Any) -> bool:
    if not isinstance(value, dict) or not value:
        return False
    if name == "NODE_CLASS_MAPPINGS":
        return all(isinstance(kind, type) for kind in value.values())
    return all(is_node_class(kind) for kind in value.values())


def _describe_class(kind: type, classes: NodeClasses) -> dict[str, Any]:
    module, qualname = classes.name(kind)
    input_types, error = _input_types(kind)
    return {
        "module": module,
        "qualname": qualname,
        "v3": is_v3_class(kind),
        "attributes": dict(_attributes(kind)),
        "input_types": input_types,
        "input_types_error": error,
        "functions": dict(_functions(kind)),
    }


def _input_types(kind: Any) -> tuple[Any, str | None]:
    if not hasattr(kind, "INPUT_TYPES"):
        return None, None
    try:
        return freeze(kind.INPUT_TYPES()), None
    except BaseException as error:  # noqa: BLE001  # SystemExit of foreign code as well: the other nodes still work
        return None, "".join(traceback.format_exception_only(type(error), error)).strip()


def _public_names(kind: type) -> list[str]:
    names: dict[str, None] = {}
    for base in reversed(kind.__mro__[:-1]):
        names.update((name, None) for name in vars(base) if not name.startswith("_"))
    return list(names)


def _attributes(kind: type) -> Iterator[tuple[str, Any]]:
    for name in _public_names(kind):
        try:
            value = getattr(kind, name)
        except Exception:  # noqa: BLE001  # a descriptor of foreign code that fails: ComfyUI would see no attribute
            continue
        if not callable(value) and not isinstance(value, property):
            yield name, freeze(value)


def _functions(kind: type) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in _public_names(kind):
        raw = inspect.getattr_static(kind, name)
        if isinstance(raw, type) or not (callable(raw) or isinstance(raw, (classmethod, staticmethod))):
            continue
        form = (
            "class"
            if isinstance(raw, classmethod)
            else "static"
            if isinstance(raw, staticmethod)
            else "instance"
        )
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
