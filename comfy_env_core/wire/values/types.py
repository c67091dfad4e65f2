"""The type table: which msgpack extension code stands for which kind of value.

Plain msgpack covers None, bool, int of 64 bits, float, str, bytes, list and dict. Everything else has a code
here. Codes are part of the protocol: a code is never given a second meaning; adding one raises
PROTOCOL_VERSION only if the peer could not do without.

What cannot be rebuilt as it is has no code: its sender keeps it and lends a handle.
"""

from __future__ import annotations

import datetime
import enum
import io
import pathlib
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

from comfy_env_core.wire.values import classes, dtypes, images, moments, standard
from comfy_env_core.wire.values.file_lists import FileList
from comfy_env_core.wire.values.odd_containers import beyond, default_for_any_key
from comfy_env_core.wire.values.payloads import as_bytes, as_list
from comfy_env_core.wire.values.type_names import is_wildcard


class TypeCode(enum.IntEnum):
    """Extension codes and the shape of their payload (msgpack unless said otherwise).

    The parts of a payload may be any value. Bulk bytes are a memoryview, and arrive as one.
    """

    TUPLE = 1  # list
    SET = 2  # list
    FROZENSET = 3  # list
    BIG_INT = 4  # two's complement bytes, little endian, raw
    COMPLEX = 5  # [real, imaginary]
    SLICE = 6  # [start, stop, step]
    RANGE = 7  # [start, stop, step]
    PATH = 8  # str; concrete, so it arrives as a path of the receiver's system
    ENUM = 9  # [module, qualname, member name, value]
    ORDERED_DICT = 10  # list of [key, value]
    ELLIPSIS = 11  # nil
    BYTEARRAY = 12  # bytes
    MEMORYVIEW = 13  # bytes, or [format, shape, bytes]; arrives writable
    WILDCARD = 14  # str: a text that is unequal to nothing
    PURE_PATH = 15  # ["posix" or "windows", str]
    ARRAY = 16  # see arrays.py
    TENSOR = 17  # see arrays.py
    NUMPY_SCALAR = 18  # [dtype, bytes, plain value]
    OBJECT_ARRAY = 19  # [shape, list of elements]
    BUFFER = 20  # number of bulk bytes in the table: what a memoryview in a payload becomes
    IMAGE = 21  # see images.py
    NUMPY_DTYPE = 22  # see dtypes.py
    TORCH_SIZE = 23  # list of int
    TORCH_DTYPE = 24  # str: "torch.float16"
    TORCH_DEVICE = 25  # str: "cuda:0"
    ACCEPTING_DICT = 26  # [list of [key, value], [] or [default]]: a dict that claims every key
    ACCEPTING_TUPLE = 27  # [list, default]: a tuple with an element at every index
    DEFAULT_DICT = 28  # [name of a builtin type or nil, list of [key, value]]
    COUNTER = 29  # list of [key, value]
    DEQUE = 30  # [maxlen or nil, list]
    NAMESPACE = 31  # dict of attributes
    HANDLE = 32  # number of a lent object in the table: it stays with the sender
    HOME = 33  # number of an object of the receiver in the table: it comes home
    INSTANCE = 34  # raw, see messages.py: number, [module, qualname], attributes
    NAMED_TUPLE = 35  # [module, qualname, values]: see classes.py
    DEFINE = 40  # raw, see messages.py: a list or dict that occurs again
    REFER = 41  # raw, see messages.py: a list, dict or instance that has occurred
    PARCEL = 42  # [type name, how, tag, content]: see parcels.py
    FOREIGN = 43  # [packed parcel, origin, number of the lent object, why there is none]: see decoding.py
    DATETIME = 50  # see moments.py, as the next five
    DATE = 51
    TIME = 52
    TIMEDELTA = 53
    TIMEZONE = 54
    ZONE_INFO = 55
    UUID = 56  # 16 bytes
    DECIMAL = 57  # str
    FRACTION = 58  # [numerator, denominator]
    BYTES_IO = 59  # [bytes, position, attributes]
    STRING_IO = 60  # [str, newline, position, attributes]


RAW_CODES = frozenset({TypeCode.BIG_INT, TypeCode.DEFINE, TypeCode.REFER, TypeCode.INSTANCE})
PART_CODES = frozenset({TypeCode.ARRAY, TypeCode.TENSOR, TypeCode.BUFFER})
# A memoryview in the payload of these is bulk bytes; anywhere else it is a value.
BULK_CODES = frozenset({TypeCode.BYTEARRAY, TypeCode.MEMORYVIEW, TypeCode.IMAGE, TypeCode.BYTES_IO})

Reduced = tuple[TypeCode, Any]


def reduce_value(value: Any) -> Reduced | None:
    """(code, payload) for a value that travels by value, or None if its type is not in the table.

    Images, instances and named tuples have codes, but only where the receiver knows the class: see classes.py.
    """
    kind = type(value)
    entry = _EXACT.get(kind)
    if entry is None:
        entry = _LIBRARY.get(f"{kind.__module__}.{kind.__qualname__}") or _entry_by_base(value)
    if entry is None:
        return None
    code, reduce = entry
    payload = reduce(value)
    return None if payload is None and code is not TypeCode.ELLIPSIS else (code, payload)


def build_value(code: int, payload: Any) -> Any:
    """The value of a code of this module, from its decoded payload.

    Raises KeyError or ValueError for an unknown code, and any Exception for a payload of another shape.
    """
    return _BUILDERS[TypeCode(code)](payload)


def plain_base(value: Any) -> Any:
    """The value without its subclass, for subclasses of scalar types; None if it is none.

    A flag integer, a text with attributes or a list of file names is useful to the other side only as what it is
    equal to; a handle in its place would not be.
    """
    kind = type(value)
    if issubclass(kind, FileList):
        return list(value)
    if (kind.__module__, kind.__qualname__) in PLAIN_DICTS and issubclass(kind, dict):
        return dict(value)
    for base, undress in _UNDRESS.items():
        if issubclass(kind, base):
            return undress(value)
    return None


def _entry_by_base(value: Any) -> tuple[TypeCode, Callable[[Any], Any]] | None:
    kind = type(value)  # not isinstance, which believes what a proxy says of its class
    if issubclass(kind, enum.Enum):
        return TypeCode.ENUM, classes.reduce_enum
    if issubclass(kind, pathlib.Path):
        return TypeCode.PATH, str
    if issubclass(kind, pathlib.PurePath):
        return TypeCode.PURE_PATH, standard.reduce_pure_path
    if issubclass(kind, str):
        return (TypeCode.WILDCARD, str.__str__) if is_wildcard(value) else None
    if issubclass(kind, dict):
        return TypeCode.ACCEPTING_DICT, _reduce_accepting_dict
    if issubclass(kind, tuple):
        return TypeCode.ACCEPTING_TUPLE, _reduce_accepting_tuple
    if dtypes.is_numpy_dtype(value):
        return TypeCode.NUMPY_DTYPE, dtypes.reduce_numpy_dtype
    return None


def _reduce_accepting_dict(value: dict[Any, Any]) -> list[Any] | None:
    default = default_for_any_key(value)
    return None if default is None else [[list(item) for item in dict.items(value)], list(default)]


def _reduce_accepting_tuple(value: tuple[Any, ...]) -> list[Any] | None:
    default = beyond(value)
    return [list(tuple.__iter__(value)), default[0]] if default else None


# ComfyUI's dict of a saved file: a dict of texts with properties that read them.
PLAIN_DICTS = frozenset({("comfy_api.latest._ui", "SavedResult")})

_EXACT: dict[type, tuple[TypeCode, Callable[[Any], Any]]] = {
    tuple: (TypeCode.TUPLE, list),
    set: (TypeCode.SET, list),
    frozenset: (TypeCode.FROZENSET, list),
    int: (TypeCode.BIG_INT, standard.reduce_integer),
    complex: (TypeCode.COMPLEX, lambda value: [value.real, value.imag]),
    slice: (TypeCode.SLICE, lambda value: [value.start, value.stop, value.step]),
    range: (TypeCode.RANGE, lambda value: [value.start, value.stop, value.step]),
    type(Ellipsis): (TypeCode.ELLIPSIS, lambda value: None),
    bytearray: (TypeCode.BYTEARRAY, memoryview),
    memoryview: (TypeCode.MEMORYVIEW, standard.reduce_memoryview),
    OrderedDict: (TypeCode.ORDERED_DICT, standard.reduce_ordered),
    defaultdict: (TypeCode.DEFAULT_DICT, standard.reduce_default_dict),
    Counter: (TypeCode.COUNTER, standard.reduce_ordered),
    deque: (TypeCode.DEQUE, standard.reduce_deque),
    types.SimpleNamespace: (TypeCode.NAMESPACE, lambda value: dict(vars(value))),
    datetime.datetime: (TypeCode.DATETIME, moments.reduce_datetime),
    datetime.date: (TypeCode.DATE, moments.reduce_date),
    datetime.time: (TypeCode.TIME, moments.reduce_time),
    datetime.timedelta: (TypeCode.TIMEDELTA, moments.reduce_timedelta),
    datetime.timezone: (TypeCode.TIMEZONE, moments.reduce_timezone),
    io.BytesIO: (TypeCode.BYTES_IO, standard.reduce_bytes_io),
    io.StringIO: (TypeCode.STRING_IO, standard.reduce_string_io),
}

# By name, so what nobody here uses need not be loaded to ask.
_LIBRARY: dict[str, tuple[TypeCode, Callable[[Any], Any]]] = {
    "torch.Size": (TypeCode.TORCH_SIZE, list),
    "torch.dtype": (TypeCode.TORCH_DTYPE, str),
    "torch.device": (TypeCode.TORCH_DEVICE, str),
    "decimal.Decimal": (TypeCode.DECIMAL, str),
    "fractions.Fraction": (TypeCode.FRACTION, standard.reduce_fraction),
    "uuid.UUID": (TypeCode.UUID, lambda value: value.bytes),
    "zoneinfo.ZoneInfo": (TypeCode.ZONE_INFO, moments.reduce_zone_info),
}

_UNDRESS: dict[type, Callable[[Any], Any]] = {
    bool: bool,
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
    bytes: lambda value: bytes(memoryview(value)),
}

_BUILDERS: dict[TypeCode, Callable[[Any], Any]] = {
    TypeCode.TUPLE: lambda payload: tuple(as_list(payload)),
    TypeCode.SET: lambda payload: set(as_list(payload)),
    TypeCode.FROZENSET: lambda payload: frozenset(as_list(payload)),
    TypeCode.BIG_INT: standard.build_integer,
    TypeCode.COMPLEX: standard.build_complex,
    TypeCode.SLICE: standard.build_slice,
    TypeCode.RANGE: standard.build_range,
    TypeCode.PATH: standard.build_path,
    TypeCode.ENUM: classes.build_enum,
    TypeCode.ORDERED_DICT: standard.build_ordered_dict,
    TypeCode.ELLIPSIS: lambda payload: Ellipsis,
    TypeCode.BYTEARRAY: lambda payload: bytearray(as_bytes(payload)),
    TypeCode.MEMORYVIEW: standard.build_memoryview,
    TypeCode.WILDCARD: standard.build_wildcard,
    TypeCode.PURE_PATH: standard.build_pure_path,
    TypeCode.IMAGE: images.build_image,
    TypeCode.NUMPY_DTYPE: dtypes.build_numpy_dtype,
    TypeCode.TORCH_SIZE: dtypes.build_torch_size,
    TypeCode.TORCH_DTYPE: dtypes.build_torch_dtype,
    TypeCode.TORCH_DEVICE: dtypes.build_torch_device,
    TypeCode.ACCEPTING_DICT: standard.build_accepting_dict,
    TypeCode.ACCEPTING_TUPLE: standard.build_accepting_tuple,
    TypeCode.DEFAULT_DICT: standard.build_default_dict,
    TypeCode.COUNTER: standard.build_counter,
    TypeCode.DEQUE: standard.build_deque,
    TypeCode.NAMESPACE: standard.build_namespace,
    TypeCode.DATETIME: moments.build_datetime,
    TypeCode.DATE: moments.build_date,
    TypeCode.TIME: moments.build_time,
    TypeCode.TIMEDELTA: moments.build_timedelta,
    TypeCode.TIMEZONE: moments.build_timezone,
    TypeCode.ZONE_INFO: moments.build_zone_info,
    TypeCode.UUID: standard.build_uuid,
    TypeCode.DECIMAL: standard.build_decimal,
    TypeCode.FRACTION: standard.build_fraction,
    TypeCode.BYTES_IO: standard.build_bytes_io,
    TypeCode.STRING_IO: standard.build_string_io,
}
