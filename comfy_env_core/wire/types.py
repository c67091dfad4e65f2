"""The type table: which msgpack extension code stands for which kind of value.

Plain msgpack covers None, bool, int of 64 bits, float, str, bytes, list and dict. Everything else has a code
here. Codes are part of the protocol: a code is never given a second meaning; adding one raises
PROTOCOL_VERSION only if the peer could not do without.
"""

from __future__ import annotations

import enum
import pathlib
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from comfy_env_core.wire.snapshot import FolderList


class TypeCode(enum.IntEnum):
    """Extension codes and the shape of their payload (msgpack unless said otherwise)."""

    TUPLE = 1  # list
    SET = 2  # list
    FROZENSET = 3  # list
    BIG_INT = 4  # two's complement bytes, little endian, raw
    COMPLEX = 5  # [real, imaginary]
    SLICE = 6  # [start, stop, step]
    RANGE = 7  # [start, stop, step]
    PATH = 8  # str
    ENUM = 9  # [module, qualname, member name, value]
    ORDERED_DICT = 10  # list of [key, value]
    ELLIPSIS = 11  # nil
    ARRAY = 16  # see arrays.py
    TENSOR = 17  # see arrays.py
    NUMPY_SCALAR = 18  # [dtype, bytes, plain value]
    OBJECT_ARRAY = 19  # [shape, list of elements]
    HANDLE = 32  # [key, type name, text]: stays with the sender
    HOME = 33  # key: an object of the receiver comes home
    KNOWN_CLASS = 34  # [module, qualname, attributes]: see KNOWN_CLASSES


# Small classes of ComfyUI that both sides may have; they travel as their attributes. The receiver takes the
# class from the module if it can import it, and the module is light (imports nothing of ComfyUI).
KNOWN_CLASSES = frozenset({("comfy_execution.graph_utils", "ExecutionBlocker")})


def reduce_value(value: Any) -> tuple[TypeCode, Any] | None:
    """(code, plain payload) for a value that travels by value, or None if its type is not in the table."""
    reducer = _EXACT.get(type(value))
    if reducer is not None:
        return reducer(value)
    if isinstance(value, enum.Enum):
        kind = type(value)
        return TypeCode.ENUM, [kind.__module__, kind.__qualname__, value.name, value.value]
    if isinstance(value, pathlib.PurePath):
        return TypeCode.PATH, str(value)
    kind = type(value)
    if (kind.__module__, kind.__qualname__) in KNOWN_CLASSES:
        return TypeCode.KNOWN_CLASS, [kind.__module__, kind.__qualname__, dict(vars(value))]
    return None


def plain_base(value: Any) -> Any:
    """The value without its subclass, for subclasses of scalar types; None if it is none.

    A wildcard string, a flag integer or a list of file names is useful to the other side only as what it is
    equal to; a handle in its place would not be.
    """
    if isinstance(value, FolderList):
        return list(value)
    for base in (bool, int, float, str, bytes):
        if isinstance(value, base):
            return _UNDRESS[base](value)
    return None


def build_value(code: int, payload: Any) -> Any:
    """The value of a code of this module, from its decoded payload. Raises KeyError for an unknown code."""
    return _BUILDERS[TypeCode(code)](payload)


def find_class(module: str, qualname: str) -> Any:
    """The class if its module is loaded here, else None. Never imports: names come from the other side."""
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def _int_bytes(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)


def _build_enum(payload: list[Any]) -> Any:
    module, qualname, name, value = payload
    kind = find_class(module, qualname)
    if isinstance(kind, type) and issubclass(kind, enum.Enum) and name in kind.__members__:
        return kind[name]
    return value


_EXACT: dict[type, Callable[[Any], tuple[TypeCode, Any]]] = {
    tuple: lambda value: (TypeCode.TUPLE, list(value)),
    set: lambda value: (TypeCode.SET, list(value)),
    frozenset: lambda value: (TypeCode.FROZENSET, list(value)),
    int: lambda value: (TypeCode.BIG_INT, _int_bytes(value)),
    complex: lambda value: (TypeCode.COMPLEX, [value.real, value.imag]),
    slice: lambda value: (TypeCode.SLICE, [value.start, value.stop, value.step]),
    range: lambda value: (TypeCode.RANGE, [value.start, value.stop, value.step]),
    OrderedDict: lambda value: (TypeCode.ORDERED_DICT, [list(item) for item in value.items()]),
    type(Ellipsis): lambda value: (TypeCode.ELLIPSIS, None),
}

_UNDRESS: dict[type, Callable[[Any], Any]] = {
    bool: bool,
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
    bytes: lambda value: bytes(memoryview(value)),
}

_BUILDERS: dict[TypeCode, Callable[[Any], Any]] = {
    TypeCode.TUPLE: tuple,
    TypeCode.SET: set,
    TypeCode.FROZENSET: frozenset,
    TypeCode.BIG_INT: lambda payload: int.from_bytes(payload, "little", signed=True),
    TypeCode.COMPLEX: lambda payload: complex(*payload),
    TypeCode.SLICE: lambda payload: slice(*payload),
    TypeCode.RANGE: lambda payload: range(*payload),
    TypeCode.PATH: pathlib.Path,
    TypeCode.ENUM: _build_enum,
    TypeCode.ORDERED_DICT: OrderedDict,
    TypeCode.ELLIPSIS: lambda payload: Ellipsis,
}
