"""The modules that stand in ComfyUI's process where an isolated module would be.

Such a module holds what the worker's description says that the real one exports: node classes as proxies, every
dict of classes, plain constants. Nothing of the pack's code runs in the host.
"""

from __future__ import annotations

import ast
import logging
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from comfy_env_core.comfyui.proxies import ProxyFactory
from comfy_env_core.wire.snapshot import thaw

log = logging.getLogger("comfy-env")

#: Module-level names with a meaning to ComfyUI that can be read from the source while there is no environment yet.
#: `WEB_DIRECTORY` must be known at boot: ComfyUI's static routes cannot be added later.
_CONSTANTS_BY_SOURCE = ("WEB_DIRECTORY",)


class NotReady:
    """Stands for a class whose module has no environment yet, so that `from .isolated import Node` does not fail.

    ComfyUI must not show it: `unregister_unready` takes it out again once the pack is loaded, and the page shows the
    node as missing until the real one comes.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)


def fill(module: ModuleType, description: Mapping[str, Any], factory: ProxyFactory) -> None:
    """Gives `module` the exports of a described module. `description`: see `comfy_env_core.worker.description`."""
    proxies = factory.proxies(description)
    for name, export in description["exports"].items():
        if "class" in export:
            setattr(module, name, proxies[export["class"]])
        elif "classes" in export:
            setattr(module, name, {key: proxies[index] for key, index in export["classes"].items()})
        elif "value" in export:
            setattr(module, name, thaw(export["value"]))
    _explain_the_rest(module, description)


def fill_unready(module: ModuleType, source: Path | None) -> None:
    """Gives `module` what a pack needs to get through its own import while the environment is being built.

    Mappings are empty, constants that ComfyUI needs at boot are read from the source, and a class that the pack asks
    for by name is a `NotReady` stub.
    """
    for name, value in _literal_constants(source).items():
        setattr(module, name, value)
    module.NODE_CLASS_MAPPINGS = {}  # type: ignore[attr-defined]
    module.NODE_DISPLAY_NAME_MAPPINGS = {}  # type: ignore[attr-defined]

    def stub_for(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        value: Any = {} if name.endswith("MAPPINGS") else type(name, (NotReady,), {"__module__": module.__name__})
        setattr(module, name, value)
        return value

    module.__getattr__ = stub_for  # type: ignore[method-assign]


def _explain_the_rest(module: ModuleType, description: Mapping[str, Any]) -> None:
    """Answers a request for a name that exists in the worker only with an error that says so."""
    opaque = {name: export["opaque"] for name, export in description["exports"].items() if "opaque" in export}

    def explain(name: str) -> Any:
        if name in opaque:
            raise AttributeError(
                f"{name!r} of the isolated module {module.__name__!r} is a {opaque[name]} and stays in its worker; "
                "only node classes and plain constants are visible outside. Move it out of the isolated directory."
            )
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

    module.__getattr__ = explain  # type: ignore[method-assign]


def _literal_constants(source: Path | None) -> dict[str, Any]:
    if source is None or not source.is_file():
        return {}
    try:
        tree = ast.parse(source.read_bytes(), str(source))
    except (SyntaxError, ValueError, OSError) as error:
        log.warning("Cannot read constants from %s: %s", source, error)
        return {}
    found = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            for target in statement.targets:
                if isinstance(target, ast.Name) and target.id in _CONSTANTS_BY_SOURCE:
                    found[target.id] = statement.value.value
    return found
