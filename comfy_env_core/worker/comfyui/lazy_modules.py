"""Modules that are executed when something of them is used, not when they are imported.

`importlib.util.LazyLoader` is no help: before Python 3.12 the second `import` of a module counts as its first use.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Look = Callable[[str], Any]
Write = Callable[[str, Any], None]


class LazyLoader:
    """Puts off what `loader` does. `after(module)` is called once it was executed.

    `missing(name)` gives what the module does not have, or raises AttributeError; `written(name, value)` is called
    when other code sets a name.
    """

    def __init__(
        self, loader: Any, after: Callable[[ModuleType], None], missing: Look, written: Write
    ) -> None:
        self._loader = loader
        self._after = after
        self._missing = missing
        self._written = written
        self._lock = threading.RLock()
        self._is_executed = False
        self._is_executing = False

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """A module that asks this loader for what it has not."""
        return LazyModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Later."""

    def execute(self, module: ModuleType) -> None:
        """Do it now, once; other threads wait. Raises what the module's code raises, and tries again the next time."""
        with self._lock:
            if self._is_executed or self._is_executing:
                return
            written = {name: value for name, value in vars(module).items() if not is_dunder(name)}
            self._is_executing = True
            try:
                self._loader.exec_module(module)
                vars(module).update(written)
                self._is_executed = True
                self._after(module)
            finally:
                self._is_executing = False

    def look_up(self, module: ModuleType, name: str) -> Any:
        """An attribute that the module does not have yet. Raises AttributeError."""
        self.execute(module)
        if name in vars(module):
            return vars(module)[name]
        if self._is_executing or is_dunder(name):
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        return self._missing(name)

    def note_written(self, name: str, value: Any) -> None:
        """Other code sets a name."""
        self._written(name, value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class LazyModule(ModuleType):
    """Its loader is a LazyLoader."""

    def __getattr__(self, name: str) -> Any:
        # What the import system and inspect ask of every module says nothing about use; `import *` asks for __all__.
        if is_dunder(name) and name != "__all__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return _loader_of(self).look_up(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if not is_dunder(name):
            _loader_of(self).note_written(name, value)

    def __dir__(self) -> list[str]:
        _loader_of(self).execute(self)
        return sorted(vars(self))


def is_dunder(name: str) -> bool:
    """Whether a name is one of those that Python keeps for itself."""
    return name.startswith("__") and name.endswith("__")


def _loader_of(module: ModuleType) -> LazyLoader:
    spec = module.__spec__
    assert spec is not None
    assert isinstance(spec.loader, LazyLoader)
    return spec.loader
