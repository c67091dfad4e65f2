"""A value on its way out; messages.py says what it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack  # type: ignore[import-untyped]

from comfy_env_core.wire.attachments import OutgoingAttachments
from comfy_env_core.wire.errors import EncodeError, WireError
from comfy_env_core.wire.objects.handles import Borrowed
from comfy_env_core.wire.objects.live import Handle
from comfy_env_core.wire.objects.live_containers import LiveDict, LiveList
from comfy_env_core.wire.objects.parcel import Parcel
from comfy_env_core.wire.objects.parcel_errors import CodecFileError
from comfy_env_core.wire.objects.specials import specials_of, type_name_of
from comfy_env_core.wire.protocol import (
    DEFINITION,
    DICT,
    INSTANCE_HEAD,
    LIST,
    MAX_DEPTH,
    NO_TABLE,
    NUMBER,
    TABLE_SIZE,
)
from comfy_env_core.wire.values import classes, images
from comfy_env_core.wire.values.arrays import array_part, buffer_part, reduce_numpy
from comfy_env_core.wire.values.sharing import find_shared
from comfy_env_core.wire.values.types import BULK_CODES, TypeCode, plain_base, reduce_value

if TYPE_CHECKING:
    from comfy_env_core.wire.messages import MessageCodec


class Encoded(NamedTuple):
    """A message body and what goes with it, if anything does; keep it until it is sent."""

    body: bytes
    attachments: OutgoingAttachments | None = None

    @property
    def descriptors(self) -> Sequence[int]:
        """What goes beside the frame."""
        return () if self.attachments is None else self.attachments.descriptors

    def abandon(self) -> None:
        """It is not sent."""
        if self.attachments is not None:
            self.attachments.abandon()


def encode_value(codec: MessageCodec, value: Any) -> Encoded:
    """The body of a value, and what goes with it. Raises EncodeError, DeadHandle or ForeignHandle."""
    shared = find_shared(value)
    plain = None if shared else _encode_plain(value)
    return Encoding(codec, shared).run(value) if plain is None else Encoded(plain)


def _encode_plain(value: Any) -> bytes | None:
    """The body of a value that msgpack can write by itself, as most small ones, in half the time; else None."""
    try:
        content = msgpack.packb(value, strict_types=True, use_bin_type=True, unicode_errors="surrogatepass")
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
    return NO_TABLE + bytes(content)


class Encoding:
    """One value on its way out."""

    def __init__(self, codec: MessageCodec, shared: set[int]) -> None:
        self._codec = codec
        self._attachments = OutgoingAttachments(codec.exchange)
        self._shared = shared
        self._numbers: dict[int, int] = {}  # id of a list, dict or instance -> its number
        self._arrays: dict[int, msgpack.ExtType] = {}  # id of an array -> what refers to it
        self._keepalive: list[Any] = []  # temporary objects, so that no other gets their id
        self._depth = 0

    def run(self, value: Any) -> Encoded:
        try:
            content = self._pack(value)
            table = self._attachments.finish()
        except BaseException:
            self._attachments.abandon()
            raise
        return Encoded(TABLE_SIZE.pack(len(table)) + table + content, self._attachments)

    def _pack(self, value: Any) -> bytes:
        return self._pack_marked(self._mark(value) if self._shared else value)

    def _pack_marked(self, value: Any) -> bytes:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise EncodeError(f"The value is nested deeper than {MAX_DEPTH} levels")
        try:
            packed = msgpack.packb(
                value,
                default=self._extend,
                strict_types=True,
                use_bin_type=True,
                unicode_errors="surrogatepass",
            )
        except (ValueError, RecursionError) as error:
            raise EncodeError(f"A value nested too deeply cannot be sent: {error}") from error
        except (TypeError, OverflowError, MemoryError) as error:
            if isinstance(error, WireError):
                raise
            raise EncodeError(f"A {type(value).__name__} cannot be sent: {error}") from error
        self._depth -= 1
        return bytes(packed)

    def _mark(self, value: Any) -> Any:
        """The value with numbers on the lists and dicts that are shared in it."""
        kind = type(value)
        if kind is bytearray or kind is memoryview:
            return self._extend(value)
        if kind is not list and kind is not dict:
            return value
        if id(value) not in self._shared:
            return self._mark_items(value)
        if id(value) in self._numbers:
            return self._refer(value)
        head = DEFINITION.pack(self._number(value), LIST if kind is list else DICT)
        return msgpack.ExtType(TypeCode.DEFINE, head + self._pack_marked(self._mark_items(value)))

    def _mark_items(self, value: Any) -> Any:
        if type(value) is list:
            return [self._mark(item) for item in value]
        return {key: self._mark(item) for key, item in value.items()}

    def _number(self, value: Any) -> int:
        self._keepalive.append(value)
        return self._numbers.setdefault(id(value), len(self._numbers))

    def _refer(self, value: Any) -> Any:
        return msgpack.ExtType(TypeCode.REFER, NUMBER.pack(self._numbers[id(value)]))

    def _extend(self, value: Any) -> Any:
        """What msgpack calls for every value that is not plain."""
        kind = type(value)
        if issubclass(kind, Borrowed):
            return self._extend_borrowed(value)
        if kind is LiveDict or kind is LiveList:
            return dict(value) if kind is LiveDict else list(value)
        if kind is Parcel:
            return self._extension(TypeCode.PARCEL, [value.type_name, value.how, value.tag, value.content])
        if id(value) in self._numbers:
            return self._refer(value)
        reduced = reduce_value(value)
        if reduced is not None:
            return self._extension(*reduced)
        if id(value) in self._arrays:
            return self._arrays[id(value)]
        part = array_part(value)
        if part is not None:
            extension = self._arrays[id(value)] = self._number_extension(
                part.code, self._attachments.add_part(part)
            )
            return extension
        reduced = reduce_numpy(value)
        if reduced is not None:
            return self._extension(*reduced)
        plain = plain_base(value)
        return self._extend_object(value) if plain is None else plain

    def _extend_object(self, value: Any) -> Any:
        """By value if the peer has the class, else a handle."""
        kind = type(value)
        fingerprint = self._codec.fingerprint(kind)
        if fingerprint is not None and self._codec.knows(fingerprint):
            module, qualname, _ = fingerprint
            if fingerprint == images.FINGERPRINT:
                payload = images.reduce_image(value)
                if payload is not None:
                    return self._extension(TypeCode.IMAGE, payload)
            elif issubclass(kind, tuple):
                return self._extension(TypeCode.NAMED_TUPLE, [module, qualname, classes.values_of(value)])
            else:
                return self._extend_instance(value, module, qualname)
        return self._lend(value, type_name_of(kind), specials_of(kind))

    def _extend_instance(self, value: Any, module: str, qualname: str) -> Any:
        name = self._pack([module, qualname])
        head = INSTANCE_HEAD.pack(self._number(value), len(name)) + name
        return msgpack.ExtType(TypeCode.INSTANCE, head + self._pack(self._keep(classes.attributes_of(value))))

    def _extend_borrowed(self, value: Any) -> Any:
        if self._codec.exchange.borrowed.owns(value):
            return self._number_extension(TypeCode.HOME, self._attachments.add_home(value))
        return self._extend_foreign(value)

    def _extend_foreign(self, handle: Any) -> Any:
        """An object of a third process: packed there, and the handle with it, in case it cannot be unpacked."""
        kind = type(handle)
        if not issubclass(kind, Handle):
            raise EncodeError(f"A {kind.__name__} cannot be passed on")
        reason, parcel = "", b""
        try:
            parcel = self._pack(self._keep(handle._borrowed.fetch(handle)))
        except CodecFileError:
            raise
        except WireError as error:
            self._codec.exchange.borrowed.owns(handle)  # says so if its process ended meanwhile
            reason = str(error)
        number = self._attachments.add_object(handle, kind.__comfy_env_type__, specials_of(kind))
        return self._extension(TypeCode.FOREIGN, [parcel, handle._borrowed.owner, number, reason])

    def _lend(self, value: Any, type_name: str, specials: int) -> Any:
        return self._number_extension(
            TypeCode.HANDLE, self._attachments.add_object(value, type_name, specials)
        )

    def _extension(self, code: TypeCode, payload: Any) -> Any:
        if code is TypeCode.BIG_INT:
            return msgpack.ExtType(code, payload)
        if code in BULK_CODES:
            payload = self._put_aside(payload)
        return msgpack.ExtType(code, self._pack(self._keep(payload)))

    def _put_aside(self, payload: Any) -> Any:
        """The payload with its bulk bytes moved to the table."""
        if type(payload) is memoryview:
            return self._number_extension(TypeCode.BUFFER, self._attachments.add_part(buffer_part(payload)))
        return [self._put_aside(part) if type(part) is memoryview else part for part in payload]

    def _number_extension(self, code: int, number: int) -> Any:
        return msgpack.ExtType(code, NUMBER.pack(number))

    def _keep(self, temporary: Any) -> Any:
        self._keepalive.append(temporary)
        return temporary
