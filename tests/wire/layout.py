"""How messages are laid out: the one place of the robustness tests that knows it, and what it takes to decode one.

Everything else in `corpus`, `mutation` and the fuzz sees a message as bytes with some msgpack in it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgpack  # type: ignore[import-untyped]

from comfy_env_core.wire import Channel, Connection, IncomingCall
from comfy_env_core.wire.attachments import Exchange
from comfy_env_core.wire.calls import PendingCall
from comfy_env_core.wire.messages import MessageCodec
from comfy_env_core.wire.objects.allowed import host_allow_list
from comfy_env_core.wire.objects.codecs import Codecs
from comfy_env_core.wire.objects.handles import BorrowedObjects, LentObjects
from comfy_env_core.wire.protocol import CALL_HEADER, HEADER, TABLE_SIZE, FrameKind
from comfy_env_core.wire.segments import SegmentMemory
from comfy_env_core.wire.values.types import TypeCode

# Extension codes whose payload is not msgpack -> how many bytes stand before the msgpack in it, None if none is.
RAW_CODES: dict[int, int | None] = {
    TypeCode.BIG_INT: None,
    TypeCode.ARRAY: None,
    TypeCode.TENSOR: None,
    TypeCode.BUFFER: None,
    TypeCode.HANDLE: None,
    TypeCode.HOME: None,
    TypeCode.REFER: None,
    TypeCode.DEFINE: 5,
    TypeCode.INSTANCE: 8,
}
HEADER_BYTES = HEADER.size
KINDS = tuple(int(kind) for kind in FrameKind)


class Section(NamedTuple):
    """Where msgpack stands in a body, and where the u32 that tells its size, if one does."""

    start: int
    end: int
    size_at: int | None


class Field(NamedTuple):
    """An integer outside msgpack, little endian."""

    offset: int
    width: int


HEADER_FIELDS = (Field(0, 4), Field(4, 1), Field(5, 1), Field(6, 2), Field(8, 8))


class Message(NamedTuple):
    """A valid message. Its descriptors stay open; whoever decodes it passes duplicates.

    `is_failure`: it describes an exception. `may_be_refused`: it takes a library that may be missing here.
    """

    name: str
    body: bytes
    descriptors: tuple[int, ...]
    is_failure: bool = False
    may_be_refused: bool = False


class Side:
    """What one end of a connection keeps, without a connection. It rebuilds what ComfyUI's process would."""

    def __init__(self, owner: str = "peer") -> None:
        self.lent = LentObjects()
        self.borrowed = BorrowedObjects(owner)
        self._memory = SegmentMemory()
        exchange = Exchange(self.lent, self.borrowed, self._memory, passes_segments=True)
        self._codec = MessageCodec(
            exchange, knows=lambda _: True, here="here", codecs=Codecs(), allowed=host_allow_list
        )

    def encode(self, name: str, value: Any, *, is_failure: bool = False) -> Message:
        """The message of a value."""
        encoded = self._codec.encode(value)
        descriptors = tuple(os.dup(number) for number in encoded.descriptors)
        return Message(name, encoded.body, descriptors, is_failure)

    def decode(self, body: bytes, descriptors: Sequence[int] = ()) -> Any:
        """The value of a body, as the thread that waits for it gets it. Takes the descriptors."""
        return self._codec.receive(body, 0, list(descriptors)).decode()

    def decode_failure(self, body: bytes, descriptors: Sequence[int] = ()) -> BaseException | None:
        """The exception of an answer, as the waiting caller gets it. Takes the descriptors."""
        payload = self._codec.receive(body, 0, list(descriptors))
        # Any: a call that is done asks its connection for nothing.
        connection: Any = None
        call = PendingCall(connection, 1, "fuzz", None)
        call.complete(payload, failed=True)
        return call.exception()

    def forget_dropped(self) -> None:
        """Forget what was noted for release, which a connection would send, and give idle memory back."""
        self.borrowed.take_dropped()
        self.borrowed.notice_again()
        while not self.borrowed.notes.empty():
            self.borrowed.notes.get()
        self._memory.trim()


def raw_message(name: str, content: bytes, table: Any = None, *, may_be_refused: bool = False) -> Message:
    """A message whose value is that msgpack."""
    packed = b"" if table is None else msgpack.packb(table)
    return Message(name, TABLE_SIZE.pack(len(packed)) + packed + content, (), may_be_refused=may_be_refused)


def extension(code: int, payload: Any) -> bytes:
    """msgpack of one value of the type table."""
    return bytes(msgpack.packb(msgpack.ExtType(code, msgpack.packb(payload))))


def tensor_message(name: str, dtype: str, shape: list[int], content: bytes) -> Message:
    """A message of one tensor, as a side with torch sends it."""
    table = [[], [], [], [content], [[int(TypeCode.TENSOR), dtype, shape, None, 0, 0, {"grad": True}]]]
    return raw_message(name, bytes(msgpack.packb(msgpack.ExtType(TypeCode.TENSOR, bytes(4)))), table)


def sections(body: bytes) -> list[Section]:
    """The parts of a body that are msgpack."""
    (table_bytes,) = TABLE_SIZE.unpack_from(body)
    middle = min(TABLE_SIZE.size + table_bytes, len(body))
    return [Section(TABLE_SIZE.size, middle, 0), Section(middle, len(body), None)]


def fields(body: bytes) -> list[Field]:
    """The integers of a body that are not msgpack."""
    return [Field(0, TABLE_SIZE.size)]


def called(method: bytes, body: bytes) -> bytes:
    """The body of a CALL or NOTIFY."""
    return CALL_HEADER.pack(0, len(method)) + method + body


def released(entries: Any) -> bytes:
    """The body of a RELEASE: entries are [key, times], or anything else."""
    if isinstance(entries, list):
        entries = [
            [*entry, False] if isinstance(entry, list) and len(entry) == 2 else entry for entry in entries
        ]
    return bytes(msgpack.packb(entries))


def framed(kind: int, call_id: int, body: bytes, segments: int = 0, *, size: int = -1) -> bytes:
    """A frame on the stream."""
    return HEADER.pack(len(body) if size < 0 else size, kind, 0, segments, call_id) + body


def connect(
    sock: socket.socket, memory: SegmentMemory, dispatcher: Callable[[IncomingCall], None]
) -> Connection:
    """A connection over a socket, started. `memory` is the process's."""
    connection = Connection(Channel(sock), dispatcher=dispatcher, name="peer", memory=memory)
    connection.start()
    return connection


def receive_all(channel: Channel) -> int:
    """Read until the stream ends; how many frames came. Closes what they brought. Raises as `Channel.receive`."""
    count = 0
    while (frame := channel.receive()) is not None:
        for number in frame.descriptors:
            os.close(number)
        count += 1
    return count
