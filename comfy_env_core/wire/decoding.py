"""A value on its way in; messages.py says what it comes from."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import msgpack  # type: ignore[import-untyped]

from comfy_env_core.wire.attachments import IncomingAttachments
from comfy_env_core.wire.errors import DecodeError, WireError
from comfy_env_core.wire.objects.foreign import ForeignObject
from comfy_env_core.wire.objects.parcel import Parcel
from comfy_env_core.wire.objects.parcel_errors import ParcelError
from comfy_env_core.wire.protocol import (
    DEFINITION,
    INSTANCE_HEAD,
    LIST,
    MAX_DEPTH,
    NO_TABLE,
    NUMBER,
    TABLE_SIZE,
)
from comfy_env_core.wire.segments.system import system
from comfy_env_core.wire.values import classes
from comfy_env_core.wire.values.arrays import build_numpy, build_part
from comfy_env_core.wire.values.types import PART_CODES, RAW_CODES, TypeCode, build_value

if TYPE_CHECKING:
    from comfy_env_core.wire.messages import MessageCodec


class Payload:
    """A received value, decoded when it is wanted. Dropped without that, it gives back what came with it."""

    def __init__(self, codec: MessageCodec, body: bytes, start: int, descriptors: list[int]) -> None:
        self._codec = codec
        self._attachments: IncomingAttachments | None = None
        content = start + TABLE_SIZE.size
        if not descriptors and body[start:content] == NO_TABLE:
            self._content = memoryview(body)[content:]
            return
        try:
            (table_bytes,) = TABLE_SIZE.unpack_from(body, start)
            table = _unpack_table(body, content, table_bytes)
        except (struct.error, ValueError, RecursionError, msgpack.UnpackException) as error:
            while descriptors:
                system.close(descriptors.pop())
            raise DecodeError(f"A message of {len(body)} bytes has no usable table: {error}") from error
        if table is not None or descriptors:
            self._attachments = IncomingAttachments(codec.exchange, table, descriptors)
        self._content = memoryview(body)[content + table_bytes :]

    def decode(self) -> Any:
        """The value. Once only. Raises DecodeError."""
        try:
            return Decoding(self._codec, self._attachments).run(self._content)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of what no value took."""
        self._content = memoryview(b"")
        if self._attachments is not None:
            self._attachments.close()
            self._attachments = None


def _unpack_table(body: bytes, start: int, size: int) -> Any:
    if start + size > len(body):
        raise ValueError(f"it announces {size} bytes more than there are")
    if not size:
        return None
    return msgpack.unpackb(memoryview(body)[start : start + size], unicode_errors="surrogatepass")


class Decoding:
    """One value on its way in."""

    def __init__(self, codec: MessageCodec, attachments: IncomingAttachments | None) -> None:
        self._codec = codec
        self._attachments = attachments
        self._numbered: dict[int, Any] = {}
        self._depth = 0

    def run(self, content: memoryview) -> Any:
        try:
            return self._unpack(content)
        except WireError:
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
        if code in RAW_CODES:
            return self._build_raw(code, content)
        if code in PART_CODES:
            return self._table.array(NUMBER.unpack(content)[0], build_part)
        if code == TypeCode.HANDLE:
            return self._table.lent(NUMBER.unpack(content)[0])
        if code == TypeCode.HOME:
            return self._table.home(NUMBER.unpack(content)[0])
        payload = self._unpack(content)
        if code in (TypeCode.NUMPY_SCALAR, TypeCode.OBJECT_ARRAY):
            return build_numpy(code, payload)
        if code == TypeCode.NAMED_TUPLE:
            return classes.build_named_tuple(*payload)
        if code == TypeCode.PARCEL:
            return Parcel(*payload)
        if code == TypeCode.FOREIGN:
            return self._open(*payload)
        return build_value(code, payload)

    @property
    def _table(self) -> IncomingAttachments:
        if self._attachments is None:
            raise DecodeError("A value refers to a table that did not come with it")
        return self._attachments

    def _build_raw(self, code: int, content: bytes) -> Any:
        if code == TypeCode.BIG_INT:
            return build_value(code, content)
        if code == TypeCode.REFER:
            return self._numbered[NUMBER.unpack(content)[0]]
        if code == TypeCode.INSTANCE:
            return self._build_instance(content)
        number, kind = DEFINITION.unpack_from(content)
        made: Any = [] if kind == LIST else {}
        self._numbered[number] = made
        items = self._unpack(memoryview(content)[DEFINITION.size :])
        made.extend(items) if kind == LIST else made.update(items)
        return made

    def _build_instance(self, content: bytes) -> Any:
        number, name_bytes = INSTANCE_HEAD.unpack_from(content)
        end = INSTANCE_HEAD.size + name_bytes
        instance = classes.new_instance(*self._unpack(memoryview(content)[INSTANCE_HEAD.size : end]))
        self._numbered[number] = instance
        classes.fill_instance(instance, self._unpack(memoryview(content)[end:]))
        return instance

    def _open(self, packed: bytes, origin: str, number: int, reason: str) -> Any:
        """An object of a third process: the real thing if it can be made here, else what explains why not."""
        # Late: few environments ever see an object of another one.
        from comfy_env_core.wire.objects.parcels import open_parcel  # noqa: PLC0415

        if packed:
            depth = self._depth
            try:
                parcel = self._unpack(packed)
                return open_parcel(parcel, self._codec.codecs, self._codec.allow_list())
            except (ParcelError, DecodeError) as error:  # DecodeError: no library here for what is inside
                self._depth = depth
                reason = getattr(error, "missing", str(error))
        return ForeignObject.instead_of(
            self._table.lent(number), origin=origin, here=self._codec.here, reason=reason
        )
