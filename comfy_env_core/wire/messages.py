"""Values to message bodies and back.

A body is `u32 n`, a table of n bytes (attachments.py), then the value as msgpack with the extension codes of types.py.

A list or dict that occurs more than once in a value, or contains itself, is one list or dict again on arrival: where it
first occurs it has a number (DEFINE: `u32 number, u8 kind, content`), then REFER stands for it: `u32 number`. Instances
always have one (INSTANCE: `u32 number, u32 n`, n bytes of `[module, qualname]`, attributes).
"""

from __future__ import annotations

import struct
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack  # type: ignore[import-untyped]

from comfy_env_core.wire.attachments import Exchange, IncomingAttachments, OutgoingAttachments
from comfy_env_core.wire.errors import DecodeError, EncodeError, WireError
from comfy_env_core.wire.objects.codecs import Codecs
from comfy_env_core.wire.objects.foreign import ForeignObject
from comfy_env_core.wire.objects.handles import Borrowed
from comfy_env_core.wire.objects.live import Handle
from comfy_env_core.wire.objects.parcel import Parcel
from comfy_env_core.wire.objects.parcel_errors import ParcelError
from comfy_env_core.wire.objects.specials import specials_of, type_name_of
from comfy_env_core.wire.protocol import MAX_DEPTH, TABLE_SIZE
from comfy_env_core.wire.segments.system import system
from comfy_env_core.wire.values import classes, images
from comfy_env_core.wire.values.arrays import array_part, buffer_part, build_numpy, build_part, reduce_numpy
from comfy_env_core.wire.values.sharing import find_shared
from comfy_env_core.wire.values.types import TypeCode, build_value, plain_base, reduce_value

if TYPE_CHECKING:
    from comfy_env_core.wire.objects.allowed import AllowList

NUMBER = struct.Struct("<I")
DEFINITION = struct.Struct("<IB")
INSTANCE_HEAD = struct.Struct("<II")
LIST, DICT = 0, 1
RAW_CODES = frozenset({TypeCode.BIG_INT, TypeCode.DEFINE, TypeCode.REFER, TypeCode.INSTANCE})
PART_CODES = frozenset({TypeCode.ARRAY, TypeCode.TENSOR, TypeCode.BUFFER})
# A memoryview in the payload of these is bulk bytes; anywhere else it is a value.
BULK_CODES = frozenset({TypeCode.BYTEARRAY, TypeCode.MEMORYVIEW, TypeCode.IMAGE, TypeCode.BYTES_IO})

Fingerprint = tuple[str, str, tuple[str, ...]]


class Encoded(NamedTuple):
    """A message body and what goes with it; keep `attachments` until it is sent."""

    body: bytes
    attachments: OutgoingAttachments


class MessageCodec:
    """Encodes for one peer, and decodes what it sent.

    `knows(fingerprint)` asks the peer whether it has a class. `here` names this side in messages. `allowed` limits what
    pickles of other processes may build here (None: anything that can be imported).
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        knows: Callable[[Fingerprint], bool],
        here: str,
        codecs: Codecs,
        allowed: AllowList | None,
    ) -> None:
        self.exchange = exchange
        self.knows = knows
        self.here = here
        self.codecs = codecs
        self.allowed = allowed
        self._fingerprints: weakref.WeakKeyDictionary[type, Fingerprint | None] = weakref.WeakKeyDictionary()

    def fingerprint(self, kind: type) -> Fingerprint | None:
        """What the peer is asked about a class; None if its instances do not travel by value."""
        try:
            return self._fingerprints[kind]
        except KeyError:
            found = self._fingerprints[kind] = classes.fingerprint(kind)
            return found

    def encode(self, value: Any) -> Encoded:
        """Raises EncodeError, DeadHandle or ForeignHandle; nothing is lent and no memory held then."""
        return _Encoding(self).run(value)

    def receive(self, body: bytes, start: int, descriptors: list[int]) -> Payload:
        """Take what arrived. Owns the descriptors from now on. Raises DecodeError if it is damaged."""
        return Payload(self, body, start, descriptors)


class _Encoding:
    """One value on its way out."""

    def __init__(self, codec: MessageCodec) -> None:
        self._codec = codec
        self._attachments = OutgoingAttachments(codec.exchange)
        self._shared: set[int] = set()
        self._numbers: dict[int, int] = {}  # id of a list, dict or instance -> its number
        self._arrays: dict[int, msgpack.ExtType] = {}  # id of an array -> what refers to it
        self._keepalive: list[Any] = []  # temporary objects, so that no other gets their id
        self._depth = 0

    def run(self, value: Any) -> Encoded:
        try:
            self._shared = find_shared(value)
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
        reason, parcel = "", None
        try:
            parcel = self._keep(handle._borrowed.fetch(handle))
        except WireError as error:
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


class Payload:
    """A received value, decoded when it is wanted. Dropped without that, it gives back what came with it."""

    def __init__(self, codec: MessageCodec, body: bytes, start: int, descriptors: list[int]) -> None:
        self._codec = codec
        self._attachments: IncomingAttachments | None = None
        content = start + TABLE_SIZE.size
        try:
            (table_bytes,) = TABLE_SIZE.unpack_from(body, start)
            table = _unpack_table(body, content, table_bytes)
        except (struct.error, ValueError, RecursionError, msgpack.UnpackException) as error:
            for descriptor in descriptors:
                system.close(descriptor)
            raise DecodeError(f"A message of {len(body)} bytes has no usable table: {error}") from error
        if table is not None or descriptors:
            self._attachments = IncomingAttachments(codec.exchange, table, descriptors)
        self._content = memoryview(body)[content + table_bytes :]

    def decode(self) -> Any:
        """The value. Once only. Raises DecodeError."""
        try:
            return _Decoding(self._codec, self._attachments).run(self._content)
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


class _Decoding:
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

    def _open(self, parcel: Parcel | None, origin: str, number: int, reason: str) -> Any:
        """An object of a third process: the real thing if it can be made here, else what explains why not."""
        # Late: few environments ever see an object of another one.
        from comfy_env_core.wire.objects.parcels import open_parcel  # noqa: PLC0415

        if parcel is not None:
            try:
                return open_parcel(parcel, self._codec.codecs, self._codec.allowed)
            except ParcelError as error:
                reason = getattr(error, "missing", str(error))
        return ForeignObject.instead_of(
            self._table.lent(number), origin=origin, here=self._codec.here, reason=reason
        )
