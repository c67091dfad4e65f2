"""The modules that stand in ComfyUI's process where an isolated module would be.

Such a module holds what the worker's description says that the real one exports: node classes as proxies, every
dict of classes, plain constants. Nothing of the pack's code runs in the host.
"""

from __future__ import annotations

import ast
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from comfy_env_core.comfyui.imports.in_host import MakesProxies
from comfy_env_core.wire.values.snapshot import thaw

log = logging.getLogger("comfy-env")


class NotReady:
    """Stands for a class whose module has no environment yet, so that `from .isolated import Node` does not fail.

    ComfyUI must not show it: `unregister_unready` takes it out again once the pack is loaded, and the page shows the
    node as missing until the real one comes.
    """


def fill(module: ModuleType, description: Mapping[str, Any], factory: MakesProxies) -> None:
    """Gives `module` the exports of a described module; see `comfy_env_core.worker.nodes.description`."""
    proxies = factory.proxies(description)
    for name, export in description["exports"].items():
        if "class" in export:
            setattr(module, name, proxies[export["class"]])
        elif "classes" in export:
            setattr(module, name, {key: proxies[index] for key, index in export["classes"].items()})
        elif "entrypoint" in export or "entrypoint_error" in export:
            setattr(module, name, _entrypoint(export, proxies))
        elif "value" in export:
            setattr(module, name, thaw(export["value"]))
    _explain_the_rest(module, description)


def _entrypoint(export: Mapping[str, Any], proxies: Sequence[type]) -> Any:
    # Imports ComfyUI's V3 API, and that torch: a pack that has V3 nodes is loaded after it.
    from comfy_env_core.comfyui.nodes.v3.extension import (  # noqa: PLC0415
        make_entrypoint,
        make_failing_entrypoint,
    )

    if "entrypoint_error" in export:
        return make_failing_entrypoint(export["entrypoint_error"])
    return make_entrypoint([proxies[index] for index in export["entrypoint"].values()])


def fill_unready(module: ModuleType, source: Path | None) -> None:
    """Gives `module` what a pack needs to get through its own import while the environment is being built.

    What the source defines is told by reading it: mappings are empty, plain constants have their value (ComfyUI must
    know WEB_DIRECTORY at boot: its static routes cannot be added later), and classes are `NotReady` stubs.
    """
    module.__dict__.update({"NODE_CLASS_MAPPINGS": {}, "NODE_DISPLAY_NAME_MAPPINGS": {}})
    has_star_import = False
    for name, value in _top_level_names(source):
        if name == "*":
            has_star_import = True
            continue
        placeholder = _placeholder(module, name, value)
        if placeholder is None and value is None and name[:1].isupper():
            placeholder = _stub(
                module, name
            )  # a class by its statement, or imported: "SAM3D" is no constant then
        if placeholder is not None:
            setattr(module, name, placeholder)
    if has_star_import:

        def guess(name: str) -> Any:
            placeholder = _placeholder(module, name, None)
            if placeholder is None:
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            setattr(module, name, placeholder)
            return placeholder

        module.__getattr__ = guess  # type: ignore[method-assign]


def _placeholder(module: ModuleType, name: str, value: ast.expr | None) -> Any:
    """What stands for a name of the source; `value` is what is assigned to it there, None for classes and imports."""
    if isinstance(value, ast.Constant):
        return value.value
    if isinstance(value, ast.Dict) or name.endswith("MAPPINGS"):
        return {}
    if isinstance(value, ast.List):
        return []
    if value is None and name[:1].isupper() and not name.isupper():
        return _stub(module, name)
    return None


def _stub(module: ModuleType, name: str) -> type:
    return type(name, (NotReady,), {"__module__": module.__name__})


def _top_level_names(source: Path | None) -> Iterable[tuple[str, ast.expr | None]]:
    """(name, assigned expression or None) of each assignment, class and import; ("*", None) for a star import."""
    if source is None:
        return
    try:
        tree = ast.parse(source.read_bytes(), str(source))
    except (SyntaxError, ValueError, OSError) as error:
        log.warning("Cannot tell what %s defines: %s", source, error)
        return
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            yield from (
                (target.id, statement.value) for target in statement.targets if isinstance(target, ast.Name)
            )
        elif isinstance(statement, ast.ClassDef):
            yield statement.name, None
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            yield from ((alias.asname or alias.name, None) for alias in statement.names)


def _explain_the_rest(module: ModuleType, description: Mapping[str, Any]) -> None:
    """Answers a request for a name that exists in the worker only with an error that says so."""
    opaque = {name: export["opaque"] for name, export in description["exports"].items() if "opaque" in export}

    def explain(name: str) -> Any:
        if name in opaque:
            problem = (
                f"{name!r} of the isolated module {module.__name__!r} is a {opaque[name]} and stays in its worker; "
                "only node classes and plain constants are visible outside. Move it out of the isolated directory."
            )
            # `from … import` makes an error of its own out of this one, without its words.
            log.warning("%s", problem)
            raise AttributeError(problem)
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

    module.__getattr__ = explain  # type: ignore[method-assign]
