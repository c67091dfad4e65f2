"""Imports as ComfyUI does them, with our hooks in place and providers that only write down what they are asked."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from comfy_env_core.comfyui.imports import hooks
from comfy_env_core.comfyui.imports.isolated_paths import IsolatedPaths, ModuleProvider


class Recorder:
    """A provider that only writes down what it was asked to fill."""

    def __init__(self) -> None:
        self.provided: list[tuple[str, Path]] = []

    def provide(self, module: ModuleType, location: Path) -> None:
        self.provided.append((module.__name__, location))
        module.FILLED = True  # type: ignore[attr-defined]

    @property
    def locations(self) -> list[Path]:
        return [location for _, location in self.provided]


@contextlib.contextmanager
def hooked(*directories: Path, provider: ModuleProvider | None = None) -> Iterator[Recorder]:
    """These directories are isolated; what was imported meanwhile and changed in sys.path is undone at the end."""
    before, path = set(sys.modules), list(sys.path)
    recorder = Recorder()
    uninstall = hooks.install(IsolatedPaths((each, provider or recorder) for each in directories))
    try:
        yield recorder
    finally:
        uninstall()
        sys.path[:] = path
        for name in set(sys.modules) - before:
            del sys.modules[name]


def load_root(pack: Path) -> ModuleType:
    """As ComfyUI does it: by location, under a name that is the path."""
    name = str(pack).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, pack / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def run_prestartup_script(pack: Path) -> ModuleType:
    """As ComfyUI does it; raises what the script raises."""
    script = pack / "prestartup_script.py"
    spec = importlib.util.spec_from_file_location(str(script.with_suffix("")), script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
