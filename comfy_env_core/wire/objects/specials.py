"""Which special methods a class has, so that what stands for its objects elsewhere has the same ones.

Python looks special methods up on the class: `callable(h)`, `iter(h)`, `len(h)` or `h + 1` work on a handle if and only
if its class has the method. The owner sends a bit mask with each handle; bit n stands for `SPECIALS[n]`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

_BINARY = (
    "add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "divmod", "pow", "lshift", "rshift",
    "and", "xor", "or",
)  # fmt: skip

#: Part of the protocol: names are appended, never moved or taken out. The frequent ones come first, because a mask
#: of up to 64 bits is the cheaper one to send. `__hash__` says that objects are hashable, `__name__` that they have
#: a name.
SPECIALS: tuple[str, ...] = (
    "__hash__", "__call__", "__len__", "__getitem__", "__setitem__", "__delitem__", "__contains__",
    "__iter__", "__next__", "__reversed__", "__bool__", "__enter__", "__exit__", "__eq__", "__ne__",
    "__lt__", "__le__", "__gt__", "__ge__", "__array__", "__name__", "__int__", "__float__",
    "__index__", "__complex__", "__fspath__", "__bytes__", "__neg__", "__pos__", "__abs__", "__invert__",
    *(f"__{name}__" for name in _BINARY),
    *(f"__r{name}__" for name in _BINARY),
    *(f"__i{name}__" for name in _BINARY if name != "divmod"),
    "__round__", "__trunc__", "__floor__", "__ceil__", "__length_hint__",
)  # fmt: skip

#: How many classes of one peer are remembered; a forgotten one is made again.
MAX_CLASSES = 2000


def specials_of(kind: type) -> int:
    """The mask of what `kind` itself offers, `object`'s defaults left out. Remembered for each class."""
    try:
        return _remembered_specials(kind)
    except TypeError:  # a metaclass may make its classes unhashable
        return _read_specials(kind)


def _read_specials(kind: type) -> int:
    return sum(1 << bit for bit, name in enumerate(SPECIALS) if _offers(kind, name))


_remembered_specials = functools.lru_cache(maxsize=4096)(_read_specials)


def _offers(kind: type, name: str) -> bool:
    if name == "__hash__":
        return getattr(kind, "__hash__", None) is not None
    for base in kind.__mro__:
        if base is object:
            return False
        if name in vars(base):
            return vars(base)[name] is not None  # `__iter__ = None` takes an inherited method away
    return False


def type_name_of(kind: type) -> str:
    """The name a class goes by on the wire: `package.module.Class`, `package.module:Outer.Inner`, or `generator`."""
    module, qualname = str(kind.__module__), kind.__qualname__
    if module == "builtins":
        return qualname
    return f"{module}:{qualname}" if "." in qualname else f"{module}.{qualname}"


def split_type_name(type_name: str) -> tuple[str, str]:
    """(module, qualname) of what `type_name_of` gave."""
    module, separator, qualname = type_name.partition(":")
    if not separator:
        module, separator, qualname = type_name.rpartition(".")
    return (module, qualname) if separator else ("builtins", type_name)


class HandleClasses:
    """The classes made for the handles of one peer, and what was learned about each.

    One for each peer: another worker may have another version of a class of the same name.
    """

    def __init__(self) -> None:
        self._classes: dict[tuple[str, int], Any] = {}

    def get(self, type_name: str, specials: int, make: Callable[[str, int], type]) -> Any:
        """The class for that name and mask, made by `make` the first time."""
        key = (type_name, specials)
        kind = self._classes.get(key)
        if kind is None:
            while len(self._classes) >= MAX_CLASSES:
                self._classes.pop(next(iter(self._classes)), None)
            kind = self._classes.setdefault(key, make(type_name, specials))
        return kind
