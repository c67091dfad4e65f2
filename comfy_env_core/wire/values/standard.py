"""Values of the standard library as payloads, and back: containers, numbers, streams, paths.

Each `reduce_` gives the payload, or None where this value cannot be rebuilt as it is. Each `build_` refuses a
payload of another shape with TypeError or ValueError, and needs no more memory than the payload. Modules that few
processes need (decimal, fractions, uuid) are imported when a value of theirs arrives.
"""

from __future__ import annotations

import importlib
import io
import pathlib
import types
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

from comfy_env_core.wire.values.odd_containers import AcceptingDict, AcceptingTuple
from comfy_env_core.wire.values.payloads import (
    as_attributes,
    as_bytes,
    as_integer,
    as_integers,
    as_list,
    as_pairs,
    as_text,
    as_writable,
)
from comfy_env_core.wire.values.type_names import TypeName, wildcard

# A fraction is brought to lowest terms when it is made, in time that grows with the square of its length.
MAX_FRACTION_BITS = 1 << 16
FACTORIES: dict[str, type] = {
    kind.__name__: kind for kind in (list, dict, set, tuple, str, bytes, int, float, bool)
}


def reduce_integer(value: int) -> bytes:
    """Two's complement, little endian."""
    return value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)


def build_integer(payload: Any) -> int:
    """An int of any size."""
    return int.from_bytes(as_bytes(payload), "little", signed=True)


def build_complex(payload: Any) -> complex:
    """From [real, imaginary]."""
    real, imaginary = as_list(payload, 2)
    if type(real) is not float or type(imaginary) is not float:
        raise TypeError("a complex number has two floats")
    return complex(real, imaginary)


def reduce_fraction(value: Any) -> list[int] | None:
    """[numerator, denominator] of a Fraction, None if they are enormous."""
    parts = [value.numerator, value.denominator]
    return None if max(part.bit_length() for part in parts) > MAX_FRACTION_BITS else parts


def build_fraction(payload: Any) -> Any:
    """A Fraction, from [numerator, denominator]."""
    numerator, denominator = as_integers(payload, 2)
    if max(numerator.bit_length(), denominator.bit_length()) > MAX_FRACTION_BITS or denominator == 0:
        raise ValueError("a fraction without a usable denominator, or with too many digits")
    return importlib.import_module("fractions").Fraction(numerator, denominator)


def build_decimal(payload: Any) -> Any:
    """A Decimal, from its text."""
    return importlib.import_module("decimal").Decimal(as_text(payload))


def build_uuid(payload: Any) -> Any:
    """A UUID, from its 16 bytes."""
    return importlib.import_module("uuid").UUID(bytes=bytes(as_bytes(payload)))


def build_slice(payload: Any) -> slice:
    """From [start, stop, step]."""
    return slice(*as_list(payload, 3))


def build_range(payload: Any) -> range:
    """From [start, stop, step]."""
    return range(*as_integers(payload, 3))


def reduce_ordered(value: OrderedDict[Any, Any] | Counter[Any]) -> list[list[Any]]:
    """Pairs, in order."""
    return [list(item) for item in value.items()]


def build_ordered_dict(payload: Any) -> OrderedDict[Any, Any]:
    """From pairs."""
    return OrderedDict(as_pairs(payload))


def build_counter(payload: Any) -> Counter[Any]:
    """From pairs."""
    return Counter(dict(as_pairs(payload)))


def reduce_default_dict(value: defaultdict[Any, Any]) -> list[Any] | None:
    """[name of the factory or None, pairs]; None if the factory is not one of the builtin types.

    Without its factory the dict would answer a missing key differently than it does here.
    """
    factory = value.default_factory
    name = getattr(factory, "__name__", None)
    if factory is not None and (not isinstance(name, str) or FACTORIES.get(name) is not factory):
        return None
    return [name, [list(item) for item in value.items()]]


def build_default_dict(payload: Any) -> defaultdict[Any, Any]:
    """From [name of the factory or None, pairs]."""
    name, pairs = as_list(payload, 2)
    return defaultdict(None if name is None else FACTORIES[as_text(name)], dict(as_pairs(pairs)))


def reduce_deque(value: deque[Any]) -> list[Any]:
    """[maxlen or None, elements]."""
    return [value.maxlen, list(value)]


def build_deque(payload: Any) -> deque[Any]:
    """From [maxlen or None, elements]."""
    limit, elements = as_list(payload, 2)
    return deque(as_list(elements), None if limit is None else as_integer(limit))


def build_namespace(payload: Any) -> types.SimpleNamespace:
    """From its attributes."""
    return types.SimpleNamespace(**as_attributes(payload))


def build_wildcard(payload: Any) -> TypeName:
    """From its text."""
    return wildcard(as_text(payload))


def build_accepting_dict(payload: Any) -> AcceptingDict:
    """From [pairs, [] or [default]]."""
    pairs, default = as_list(payload, 2)
    has_default = bool(as_list(default))
    return AcceptingDict(as_pairs(pairs), default[0] if has_default else None, has_default)


def build_accepting_tuple(payload: Any) -> AcceptingTuple:
    """From [elements, default]."""
    elements, default = as_list(payload, 2)
    accepting = AcceptingTuple(as_list(elements))
    accepting.beyond = [default]
    return accepting


def reduce_memoryview(value: memoryview) -> Any:
    """A view of its bytes, or [format, shape, view of its bytes]; None if it was released.

    A layout that `memoryview.cast` cannot restore arrives as bytes in C order.
    """
    try:
        flat = value.cast("B") if value.c_contiguous else memoryview(value.tobytes())
        if value.ndim == 1 and value.format == "B":
            return flat
        flat.cast(value.format, value.shape)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        return None if _is_released(value) else flat
    return [value.format, list(value.shape or ()), flat]


def build_memoryview(payload: Any) -> memoryview:
    """A writable view, from bytes or from [format, shape, bytes]."""
    if type(payload) is not list:
        return as_writable(payload)
    spelling, shape, content = as_list(payload, 3)
    return as_writable(content).cast(as_text(spelling), as_integers(shape))  # type: ignore[call-overload, no-any-return]


def _is_released(value: memoryview) -> bool:
    try:
        value.nbytes  # noqa: B018
    except ValueError:
        return True
    return False


def reduce_bytes_io(value: io.BytesIO) -> list[Any] | None:
    """[content, position, attributes], None if it is closed."""
    if value.closed:
        return None
    return [memoryview(value.getvalue()), value.tell(), dict(vars(value))]


def build_bytes_io(payload: Any) -> io.BytesIO:
    """From [content, position, attributes]."""
    content, position, attributes = as_list(payload, 3)
    stream = io.BytesIO(as_bytes(content))
    stream.seek(as_integer(position))
    vars(stream).update(as_attributes(attributes))
    return stream


def reduce_string_io(value: io.StringIO) -> list[Any] | None:
    """[text, newline, position, attributes], None if it is closed."""
    if value.closed:
        return None
    text, newline, position, _ = value.__getstate__()  # type: ignore[attr-defined]  # as pickle asks
    return [text, newline, position, dict(vars(value))]


def build_string_io(payload: Any) -> io.StringIO:
    """From [text, newline, position, attributes]."""
    text, newline, position, attributes = as_list(payload, 4)
    stream = io.StringIO()
    # Not by the constructor, which would translate the line ends of the text once more.
    stream.__setstate__((as_text(text), newline, as_integer(position), None))  # type: ignore[attr-defined]
    vars(stream).update(as_attributes(attributes))
    return stream


def reduce_pure_path(value: pathlib.PurePath) -> list[str] | None:
    """[system, text], None for a flavour of its own."""
    for system, kind in _PURE_PATHS.items():
        if isinstance(value, kind):
            return [system, str(value)]
    return None


def build_pure_path(payload: Any) -> pathlib.PurePath:
    """From [system, text]."""
    system, text = as_list(payload, 2)
    return _PURE_PATHS[as_text(system)](as_text(text))


def build_path(payload: Any) -> pathlib.Path:
    """A concrete path of this system."""
    return pathlib.Path(as_text(payload))


_PURE_PATHS: dict[str, type[pathlib.PurePath]] = {
    "posix": pathlib.PurePosixPath,
    "windows": pathlib.PureWindowsPath,
}
