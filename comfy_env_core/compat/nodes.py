"""`register_nodes`: the nodes of a pack's sub-packages, isolated or not, in one pair of mappings.

Each sub-package is imported under the pack's own name. That is all that is needed: an isolated one is answered by the
import hooks of the process.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from comfy_env_core.compat.callers import calling_directory, calling_module
from comfy_env_core.compat.entrypoints import nodes_of_entrypoint

log = logging.getLogger("comfy-env")

Mappings = tuple[dict[str, Any], dict[str, str]]


def register_nodes(nodes_package: str = "nodes") -> Mappings:
    """`(NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS)` of the calling pack's folder `nodes_package`.

    Those of the folder itself if it has any or is isolated as a whole, else those of the packages in it, by name. A
    package that cannot be imported is told and left out; if nothing else is there, its error is raised.
    """
    root = calling_module().get("__package__") or calling_module().get("__name__")
    folder = calling_directory().joinpath(*nodes_package.split("."))
    if not isinstance(root, str) or root == "__main__":
        raise RuntimeError(
            f"register_nodes({nodes_package!r}) was called by a script. Call it in the __init__.py of a pack."
        )
    if not folder.is_dir() and not folder.with_suffix(".py").is_file():
        log.warning(
            "%s: register_nodes found no %r there; the pack has no nodes.", folder.parent, nodes_package
        )
        return {}, {}
    return _Collection(f"{root}.{nodes_package}", folder).collect()


class _Collection:
    def __init__(self, package: str, folder: Path) -> None:
        self._package = package
        self._folder = folder
        self._classes: dict[str, Any] = {}
        self._names: dict[str, str] = {}
        self._errors: list[Exception] = []

    def collect(self) -> Mappings:
        self._add(self._package)
        if not self._classes and not (self._folder / "comfy-env.toml").is_file():
            for name in self._packages():
                self._add(f"{self._package}.{name}")
        if self._errors and not self._classes:
            raise self._errors[0]
        return self._classes, self._names

    def _packages(self) -> Iterator[str]:
        if not self._folder.is_dir():
            return
        for folder in sorted(self._folder.iterdir()):
            is_package = (folder / "__init__.py").is_file() or (folder / "comfy-env.toml").is_file()
            if is_package and not folder.name.startswith((".", "_")):
                yield folder.name

    def _add(self, name: str) -> None:
        try:
            module = importlib.import_module(name)
        except Exception as error:  # the pack's code; the nodes of its other packages still work
            log.error("%s could not be imported: %s: %s", name, type(error).__name__, error, exc_info=error)
            self._errors.append(error)
            return
        classes = getattr(module, "NODE_CLASS_MAPPINGS", None)
        if classes:
            self._classes.update(classes)
        elif hasattr(module, "comfy_entrypoint"):
            # ComfyUI does not look for an entry point in a pack that has a NODE_CLASS_MAPPINGS.
            self._classes.update(nodes_of_entrypoint(module))
        self._names.update(getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", None) or {})
