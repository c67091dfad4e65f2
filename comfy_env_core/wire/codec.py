"""Values to message bodies and back.

A body is `u32 h, u32 l`, then h keys of 8 bytes (objects of the receiver that come home with this message) and l
keys (objects of the sender, once for each time they occur), then the value as msgpack. The keys stand in front
because the value is decoded later, by the thread that wants it, or never: the receiving thread holds the objects
that come home at once, and a message nobody looks at gives the sender's objects back.
"""

from __future__ import annotations

import importlib
import struct
from typing import Any, NamedTuple

import msgpack  # type: ignore[import-untyped]

from comfy_env_core.wire.arrays import build_array, reduce_array
from comfy_env_core.wire.errors import DecodeError, EncodeError, WireError
from comfy_env_core.wire.handles import BorrowedObjects, Handle, LentObjects, describe_object
from comfy_env_core.wire.protocol import MAX_DEPTH
from comfy_env_core.wire.segments import OutgoingSegments, ReceivedSegments
from comfy_env_core.wire.types import KNOWN_CLASSES, TypeCode, build_value, plain_base, reduce_value

COUNTS = struct.Struct("<II")
ARRAY_CODES = frozenset({TypeCode.ARRAY, TypeCode.TENSOR, TypeCode.NUMPY_SCALAR, TypeCode.OBJECT_ARRAY})


class Encoded(NamedTuple):
    """A message body and the descriptors that go with it; `segments.close()` when it is sent."""

    body: bytes
    segments: OutgoingSegments


def encode(value: Any, lent: LentObjects, borrowed: BorrowedObjects, *, with_segments: bool) -> Encoded:
    """Raises EncodeError, DeadHandle or ForeignHandle; nothing is lent and no memory held then."""
    return _Encoding(lent, borrowed, OutgoingSegments(), with_segments).run(value)


class _Encoding:
    """One value on its way out."""

    def __init__(
        self, lent: LentObjects, borrowed: BorrowedObjects, segments: OutgoingSegments, with_segments: bool
    ) -> None:
        self._lent = lent
        self._borrowed = borrowed
        self._segments = segments
        self._with_segments = with_segments
        self._lent_keys: list[int] = []
        self._homing: list[int] = []
        self._depth = 0

    def run(self, value: Any) -> Encoded:
        try:
            content = self._pack(value)
        except BaseException:
            self._segments.close()
            self._lent.give_back([(key, 1) for key in self._lent_keys])
            raise
        keys = self._homing + self._lent_keys
        prefix = COUNTS.pack(len(self._homing), len(self._lent_keys)) + struct.pack(f"<{len(keys)}Q", *keys)
        return Encoded(prefix + content, self._segments)

    def _pack(self, value: Any) -> bytes:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise EncodeError(f"The value is nested deeper than {MAX_DEPTH} levels, or contains itself")
        try:
            packed = msgpack.packb(
                value,
                default=self._extend,
                strict_types=True,
                use_bin_type=True,
                unicode_errors="surrogatepass",
            )
        except (ValueError, RecursionError) as error:
            raise EncodeError(
                f"A value nested too deeply or containing itself cannot be sent: {error}"
            ) from error
        except (TypeError, OverflowError, MemoryError) as error:
            if isinstance(error, WireError):
                raise
            raise EncodeError(f"A {type(value).__name__} cannot be sent: {error}") from error
        self._depth -= 1
        return bytes(packed)

    def _extend(self, value: Any) -> Any:
        """What msgpack calls for every value that is not plain."""
        if isinstance(value, Handle):
            key = self._borrowed.key_for_home(value)
            self._homing.append(key)
            return msgpack.ExtType(TypeCode.HOME, self._pack(key))
        reduced = reduce_value(value)
        if reduced is None:
            reduced = reduce_array(value, self._segments if self._with_segments else None)
        if reduced is None:
            plain = plain_base(value)
            if plain is not None:
                return plain
            reduced = self._reduce_to_handle(value)
        code, payload = reduced
        return msgpack.ExtType(code, payload if code is TypeCode.BIG_INT else self._pack(payload))

    def _reduce_to_handle(self, value: Any) -> tuple[TypeCode, Any]:
        type_name, text = describe_object(value)
        key = self._lent.lend(value)
        self._lent_keys.append(key)
        return TypeCode.HANDLE, [key, type_name, text]


class Payload:
    """A received value, decoded when it is wanted. Owns the descriptors that came with it.

    Dropped without being decoded, it gives back what it holds.
    """

    def __init__(
        self, body: bytes, start: int, descriptors: list[int], lent: LentObjects, borrowed: BorrowedObjects
    ) -> None:
        self._segments = ReceivedSegments(descriptors)
        self._borrowed = borrowed
        self._unread: list[int] = []
        homing, lent_keys = _read_keys(body, start)
        self._content = memoryview(body)[start + COUNTS.size + 8 * (len(homing) + len(lent_keys)) :]
        self._homing = {key: lent.look_up(key) for key in homing}
        self._unread = lent_keys

    def decode(self) -> Any:
        """The value. Once only: the descriptors are closed afterwards. Raises DecodeError."""
        try:
            return _Decoding(self._segments, self._borrowed, self._homing, self._unread).run(self._content)
        finally:
            self.close()

    def close(self) -> None:
        """Close the descriptors, and give back the sender's objects that were not taken out by `decode`."""
        self._segments.close()
        self._content = memoryview(b"")
        self._homing = {}
        while self._unread:
            self._borrowed.dropped.append((self._unread.pop(), 1))

    def __del__(self) -> None:
        if hasattr(self, "_unread"):
            self.close()


def _read_keys(body: bytes, start: int) -> tuple[list[int], list[int]]:
    try:
        homing, lent = COUNTS.unpack_from(body, start)
        keys = list(struct.unpack_from(f"<{homing + lent}Q", body, start + COUNTS.size))
    except struct.error as error:
        raise DecodeError(f"A message of {len(body)} bytes is too short for what it announces") from error
    return keys[:homing], keys[homing:]


class _Decoding:
    """One value on its way in."""

    def __init__(
        self,
        segments: ReceivedSegments,
        borrowed: BorrowedObjects,
        homing: dict[int, Any],
        unread: list[int],
    ) -> None:
        self._segments = segments
        self._borrowed = borrowed
        self._homing = homing
        self._unread = unread
        self._depth = 0

    def run(self, content: memoryview) -> Any:
        try:
            return self._unpack(content)
        except DecodeError:
            raise
        # What msgpack, numpy and torch raise for damaged or impossible payloads has no common class.
        except Exception as error:
            raise DecodeError(
                f"A received value cannot be rebuilt: {type(error).__name__}: {error}"
            ) from error

    def _unpack(self, content: bytes | memoryview) -> Any:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise DecodeError(f"A received value is nested deeper than {MAX_DEPTH} levels")
        value = msgpack.unpackb(
            content, ext_hook=self._build, strict_map_key=False, raw=False, unicode_errors="surrogatepass"
        )
        self._depth -= 1
        return value

    def _build(self, code: int, content: bytes) -> Any:
        if code == TypeCode.BIG_INT:
            return build_value(code, content)
        payload = self._unpack(content)
        if code in ARRAY_CODES:
            return build_array(code, payload, self._segments)
        if code == TypeCode.HANDLE:
            key, type_name, text = payload
            self._unread.remove(key)
            return self._borrowed.borrow(key, type_name, text)
        if code == TypeCode.HOME:
            return self._homing[payload]
        if code == TypeCode.KNOWN_CLASS:
            return _build_known_class(*payload)
        return build_value(code, payload)


def _build_known_class(module: str, qualname: str, attributes: dict[str, Any]) -> Any:
    if (module, qualname) not in KNOWN_CLASSES:
        raise DecodeError(f"{module}.{qualname} is not a class that may be rebuilt from a message")
    kind = getattr(importlib.import_module(module), qualname)
    instance = kind.__new__(kind)
    vars(instance).update(attributes)
    return instance
