"""The real thing of an object, for another process: packed by a codec of its pack, or pickled.

A parcel can be passed on unopened, and opened wherever what it needs is installed.
"""

from __future__ import annotations

import enum
import pathlib
from typing import Any

from comfy_env_core.wire.objects.allowed import AllowList
from comfy_env_core.wire.objects.codecs import Codecs
from comfy_env_core.wire.objects.guarded import unpickle_guarded
from comfy_env_core.wire.objects.handles import Borrowed
from comfy_env_core.wire.objects.live import RemoteMethod
from comfy_env_core.wire.objects.parcel import CODEC, PICKLE, Parcel
from comfy_env_core.wire.objects.parcel_errors import MissingHere, ParcelError
from comfy_env_core.wire.objects.parts import BY_VALUE, part_kind
from comfy_env_core.wire.objects.pickling import Pickled, pickle_in_parts, unpickle_parts
from comfy_env_core.wire.objects.specials import type_name_of
from comfy_env_core.wire.values import libraries

_MAX_DEPTH = 100


def make_parcel(value: object, codecs: Codecs) -> Parcel:
    """The object, packed by the codec registered for its class or the nearest base class, else pickled.

    Shares memory with the object: send it before the object changes. Raises ParcelError, naming the attribute that
    cannot be pickled, and its type; CodecFileError if the pack's codecs could not be loaded.
    """
    type_name = type_name_of(type(value))
    codec = codecs.for_class(type(value))
    if codec is None:
        pickled = pickle_in_parts(value, type_name, is_part=_is_wire_object)
        return Parcel(type_name, PICKLE, "", list(pickled))
    try:
        content = codec.serialize(value, lambda nested: _pack_nested(nested, codecs, 0))
    except Exception as error:
        raise ParcelError(
            f"A {type_name} cannot be packed: the codec {codec.tag!r} ({codec.source}) failed with "
            f"{type(error).__name__}: {error}. Mend that codec, or give the node plain data."
        ) from error
    return Parcel(type_name, CODEC, codec.tag, _pack_nested(content, codecs, 0))


def open_parcel(parcel: Parcel, codecs: Codecs, allowed: AllowList | None) -> object:
    """The object. `allowed` None rebuilds every class that can be imported here, as is right in a worker.

    Raises MissingHere if this environment lacks the codec, module or class (keep the parcel then: elsewhere it can be
    opened), and ParcelError if the class is not allowed or rebuilding fails. Both name the type. A pickle's arrays are
    the content's own: opened twice, the two objects share them.
    """
    if parcel.how == CODEC:
        return _open_by_codec(parcel, codecs, allowed)
    if parcel.how != PICKLE:
        raise ParcelError(f"A {parcel.type_name} arrived packed in an unknown way, {parcel.how!r}")
    try:
        pickled = Pickled(*parcel.content)
    except TypeError as error:
        raise ParcelError(f"A {parcel.type_name} arrived with a damaged pickle: {error}") from error
    if allowed is None:
        return unpickle_parts(pickled, parcel.type_name)
    return unpickle_guarded(pickled, parcel.type_name, allowed)


def _open_by_codec(parcel: Parcel, codecs: Codecs, allowed: AllowList | None) -> object:
    codec = codecs.for_tag(parcel.tag)
    if codec is None or codec.deserialize is None:
        raise MissingHere(
            parcel.type_name,
            f"no codec here unpacks {parcel.tag!r}"
            + (f" ({codec.source} registers no function to deserialise)" if codec else "")
            + "".join(f" ({failure})" for failure in codecs.failures),
        )
    try:
        return codec.deserialize(parcel.content, lambda nested: _open_nested(nested, codecs, allowed, 0))
    except ParcelError:
        raise
    except ImportError as error:
        raise MissingHere(parcel.type_name, f"the codec {parcel.tag!r} needs a module: {error}") from error
    except Exception as error:
        raise ParcelError(
            f"A {parcel.type_name} cannot be rebuilt: the codec {parcel.tag!r} ({codec.source}) failed with "
            f"{type(error).__name__}: {error}"
        ) from error


def _pack_nested(value: Any, codecs: Codecs, depth: int) -> Any:
    """What a codec hands to `recurse`: the codec of the wire takes plain data and arrays as they are, but would send
    any other object as a handle, and the parcel would then depend on the process it came from."""
    kind = type(value)
    if depth > _MAX_DEPTH:
        raise ParcelError(f"A codec gave data nested deeper than {_MAX_DEPTH} levels, or containing itself")
    if kind in (list, tuple, set, frozenset):
        return kind([_pack_nested(item, codecs, depth + 1) for item in value])
    if kind is dict:
        return {key: _pack_nested(item, codecs, depth + 1) for key, item in value.items()}
    if _goes_by_value(value):
        return value
    numpy = libraries.loaded("numpy")
    if numpy is not None and issubclass(kind, numpy.ndarray) and not issubclass(kind, numpy.ma.MaskedArray):
        plain = value.view(numpy.ndarray)  # of a subclass by which a library notices changes
        if part_kind(plain) in BY_VALUE:
            return plain
    return make_parcel(value, codecs)


def _open_nested(value: Any, codecs: Codecs, allowed: AllowList | None, depth: int) -> Any:
    kind = type(value)
    if kind is Parcel:
        return open_parcel(value, codecs, allowed)
    if depth > _MAX_DEPTH:
        raise ParcelError(f"A parcel holds data nested deeper than {_MAX_DEPTH} levels")
    if kind in (list, tuple, set, frozenset):
        return kind([_open_nested(item, codecs, allowed, depth + 1) for item in value])
    if kind is dict:
        return {key: _open_nested(item, codecs, allowed, depth + 1) for key, item in value.items()}
    return value


_BY_VALUE = frozenset((
    type(None), bool, int, float, complex, str, bytes, bytearray, memoryview, slice, range, type(Ellipsis),
))  # fmt: skip


def _goes_by_value(value: object) -> bool:
    kind = type(value)
    if kind in _BY_VALUE or issubclass(kind, (enum.Enum, pathlib.PurePath)) or kind.__module__ == "datetime":
        return True
    return _is_wire_object(value) or part_kind(value) in BY_VALUE


def _is_wire_object(value: object) -> bool:
    """Whether the codec of the wire has its own way to send it: things of other processes, and parcels."""
    return issubclass(type(value), (Borrowed, Parcel, RemoteMethod))
