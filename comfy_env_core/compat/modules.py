"""The modules `comfy_env` and `comfy_env.…`, and the finder that serves them."""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from comfy_env_core.compat.backend import Backend
from comfy_env_core.compat.names import MODULES, REPLACEMENTS

if TYPE_CHECKING:
    from comfy_env_core.compat.surface import Surface

NAME = "comfy_env"
#: What it answers for `comfy_env.__version__`: the newest release whose calls are known.
VERSION = "0.4.46"


class ComfyEnvFinder:
    """A meta path finder and loader. Put first, it is served also where the real one is installed."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._surface: Surface | None = None

    def install(self) -> bool:
        """From now on `import comfy_env` gets this one; whether another one had been imported before."""
        sys.meta_path.insert(0, self)
        earlier = [name for name in sys.modules if name == NAME or name.startswith(NAME + ".")]
        for name in earlier:
            del sys.modules[name]
        return bool(earlier)

    def remove(self) -> None:
        """For tests."""
        sys.meta_path.remove(self)
        for name in [name for name in sys.modules if name == NAME or name.startswith(NAME + ".")]:
            del sys.modules[name]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Called by the import system: also for `from comfy_env import name`, when the module lacks the name."""
        package, _, below = fullname.partition(".")
        if package != NAME:
            return None
        if below and below not in MODULES:
            # An ImportError passes through `from … import`; the AttributeError of the module would not be seen.
            raise ImportError(_explain(below.rpartition(".")[2]), name=fullname)
        return importlib.machinery.ModuleSpec(
            fullname,
            self,  # type: ignore[arg-type]  # a loader by its methods
            origin="comfy-env manager",
            is_package=True,
        )

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """`comfy_env.install` is a function, and a module for those that import from it."""
        return _CallableModule(spec.name) if spec.name == f"{NAME}.install" else ModuleType(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Gives it all names: which of comfy-env's modules had which, differs between its releases."""
        if self._surface is None:
            from comfy_env_core.compat.surface import Surface  # noqa: PLC0415  # few packs import comfy_env

            self._surface = Surface(self._backend, VERSION)
        contents = vars(module)
        contents.update(self._surface.names)
        contents["__all__"] = list(self._surface.public)
        contents["__getattr__"] = _refuse


class _CallableModule(ModuleType):
    """Importing a module sets it on its package, in the place of the function of that name."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return vars(self)["install"](*args, **options)


def _refuse(name: str) -> Any:
    raise AttributeError(_explain(name))


def _explain(name: str) -> str:
    advice = REPLACEMENTS.get(name)
    if advice is None:
        return f"module {NAME!r}, as comfy-env manager offers it, has no {name!r}"
    return f"comfy_env.{name} is no part of what comfy-env manager offers: {advice}."
