"""numpy and torch, found without importing them before an array needs them."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType


def loaded(name: str) -> ModuleType | None:
    """The module if some code imported it already. A value of its types cannot exist otherwise."""
    return sys.modules.get(name)


def obtain(name: str) -> ModuleType | None:
    """The module, imported now if it is installed here, else None. Raises what its own import raises."""
    module = sys.modules.get(name)
    if module is not None:
        return module
    return importlib.import_module(name) if is_installed(name) else None


def is_installed(name: str) -> bool:
    """Whether the module could be imported; costs a look at the import path, imports nothing."""
    if name in sys.modules:
        return sys.modules[name] is not None
    return importlib.util.find_spec(name) is not None
