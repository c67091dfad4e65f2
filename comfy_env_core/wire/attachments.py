"""What travels beside a value: objects, segments, and the bytes of arrays.

The value refers to these by their number; the table in front of it says what they are, as five msgpack lists: `home`:
keys of objects of the receiver; `lent`: objects of the sender, `[key, type name, special methods]`; `segments`: `[key,
id]` with a descriptor beside the frame (or `[key, id, name]`), or `[key]` for one of the receiver's; `regions`: runs
of bytes, inline or `[segment, offset, size]`; `arrays`: `[code, dtype, shape, strides, region, first byte, extra]`,
see arrays.py.

The receiver takes hold of all of it when the frame arrives and builds the value when somebody wants it: a message
nobody looks at gives everything back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgpack  # type: ignore[import-untyped]

from comfy_env_core.wire.errors import DecodeError, EncodeError
from comfy_env_core.wire.objects.handles import Borrowed, BorrowedObjects, LentObjects
from comfy_env_core.wire.objects.live import Handle
from comfy_env_core.wire.protocol import (
    ALIGNMENT_BYTES,
    INLINE_BELOW_BYTES,
    MAX_SEGMENTS,
    SHARED_BELOW_BYTES,
)
from comfy_env_core.wire.segments import Filling, ReceivedSegment, Segment, SegmentMemory, Source
from comfy_env_core.wire.segments.system import system
from comfy_env_core.wire.values.cuda import CudaSharing
from comfy_env_core.wire.values.regions import Part, Run, join_runs

#: Of the special methods of a lent object's class, one bit each.
MAX_MASK_BYTES = 64


class Exchange(NamedTuple):
    """What both directions of one conversation share. `passes_segments`: else all bytes are inline. Without `cuda` GPU
    tensors go through the host."""

    lent: LentObjects
    borrowed: BorrowedObjects
    memory: SegmentMemory
    passes_segments: bool
    cuda: CudaSharing | None = None


class OutgoingAttachments:
    """Collected while a value is encoded; `finish` writes the bytes. `descriptors` go with the frame."""

    def __init__(self, exchange: Exchange) -> None:
        self.descriptors: list[int] = []
        self._exchange = exchange
        self._home: list[int] = []
        self._lent: list[list[Any]] = []
        self._lent_keys: list[int] = []
        self._segments: list[list[Any]] = []
        self._sources: list[Source] = []  # of the segments; held until the message is sent
        self._regions: list[Any] = []
        self._parts: list[Part] = []
        self._places: dict[
            int, tuple[int, int, list[int] | None]
        ] = {}  # number of part -> region, byte, strides

    def add_home(self, borrowed: Borrowed) -> int:
        """The number of an object of the receiver."""
        self._home.append(borrowed._key)
        return len(self._home) - 1

    def add_object(self, value: object, type_name: str, specials: int) -> int:
        """The number of an object that stays here."""
        # The mask may have more than the 64 bits of a msgpack integer.
        self._lent.append(
            [self._lend(value), type_name, specials.to_bytes(-(-specials.bit_length() // 8), "little")]
        )
        return len(self._lent) - 1

    def add_part(self, part: Part) -> int:
        """The number of an array or buffer; its bytes are read by `finish`."""
        cuda = self._exchange.cuda
        if part.stage is not None and (cuda is None or not cuda.offer(part, self.add_object)):
            part.stage()
        self._parts.append(part)
        return len(self._parts) - 1

    def finish(self) -> bytes:
        """The table, empty if there is nothing in it. Raises EncodeError if there is no memory for the bytes."""
        if not (self._home or self._lent or self._parts):
            return b""
        if self._parts:
            self._place_parts()
        arrays = []
        for number, part in enumerate(self._parts):
            region, first_byte, strides = self._places.get(number, (-1, 0, part.strides))
            arrays.append([part.code, part.dtype, part.shape, strides, region, first_byte, part.extra])
        table = [self._home, self._lent, self._segments, self._regions, arrays]
        return bytes(msgpack.packb(table, unicode_errors="surrogatepass"))

    def abandon(self) -> None:
        """The message is not sent: lend nothing."""
        self._exchange.lent.take_back([(key, 1, False) for key in self._lent_keys])

    # -- bytes ---------------------------------------------------------------------------------------------

    def _place_parts(self) -> None:
        """Find out where every part's bytes are, or write them."""
        numbers = {id(part): number for number, part in enumerate(self._parts)}
        runs = join_runs(
            part
            for number, part in enumerate(self._parts)
            if part.size_bytes and not self._is_placed(number, part)
        )
        room = max(MAX_SEGMENTS - 1 - len(self._segments), 0) if self._exchange.passes_segments else 0
        small = []
        for run in runs:
            if run.size_bytes < SHARED_BELOW_BYTES or not room:
                small.append(run)
                continue
            room -= 1
            self._record(run, self._fill_segment(run), numbers)
        if not self._exchange.passes_segments or sum(run.size_bytes for run in small) < INLINE_BELOW_BYTES:
            for run in small:
                self._record(run, self._add_region(bytes(run.as_view())), numbers)
        else:
            self._share_segment(small, numbers)

    def _is_placed(self, number: int, part: Part) -> bool:
        """Whether the bytes are in a segment already, so that a reference will do."""
        if (
            part.view is not None
            or part.size_bytes < INLINE_BELOW_BYTES
            or not self._exchange.passes_segments
        ):
            return False
        if len(self._segments) >= MAX_SEGMENTS - 1:
            return False
        located = self._exchange.memory.locate(part.address, part.size_bytes)
        if located is None or not self._may_refer(located[0]):
            return False
        source, offset = located
        region = self._add_region([self._refer(source), offset, part.size_bytes])
        self._places[number] = (region, part.first_byte, part.strides)
        return True

    def _fill_segment(self, run: Run) -> int:
        """The region of a run that has a segment of its own: a copy kept from the last time, or a new one."""
        memory = self._exchange.memory
        owner = None if memory.is_mapped(run.address) else run.owner
        kept = None if owner is None else memory.kept.find(owner, run.address, run.size_bytes)
        if kept is None:
            is_expected = owner is not None and memory.kept.expect(owner, run.address, run.size_bytes)
            kept = memory.fill(run.size_bytes)
            _write(kept, 0, run)
            if is_expected:
                memory.kept.keep(owner, kept)
        return self._add_region([self._refer(kept), 0, run.size_bytes])

    def _share_segment(self, runs: Sequence[Run], numbers: dict[int, int]) -> None:
        offsets, end = [], 0
        for run in runs:
            offsets.append(end)
            end += -(-run.size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        filling = self._exchange.memory.fill(end)
        for run, offset in zip(runs, offsets):
            _write(filling, offset, run)
            self._record(run, self._add_region([self._refer(filling), offset, run.size_bytes]), numbers)

    def _record(self, run: Run, region: int, numbers: dict[int, int]) -> None:
        for part in run.parts:
            self._places[numbers[id(part)]] = (region, *run.describe(part))

    def _add_region(self, region: Any) -> int:
        self._regions.append(region)
        return len(self._regions) - 1

    # -- segments ------------------------------------------------------------------------------------------

    def _may_refer(self, source: Source) -> bool:
        is_home = isinstance(source, ReceivedSegment) and self._exchange.borrowed.owns(source)
        return is_home or source.segment.handle is not None

    def _refer(self, source: Source) -> int:
        """The number of a segment in this message."""
        for number, known in enumerate(self._sources):
            if known is source:
                return number
        if isinstance(source, ReceivedSegment) and self._exchange.borrowed.owns(source):
            entry: list[Any] = [source.key]
        else:
            entry = [self._lend(source), source.segment.id, *self._pass_on(source.segment)]
        self._sources.append(source)
        self._segments.append(entry)
        return len(self._segments) - 1

    def _pass_on(self, segment: Segment) -> list[str]:
        assert segment.handle is not None
        segment.is_passed_on = True
        if system.NAMED:
            return [system.name_of(segment.handle)]
        self.descriptors.append(segment.handle)
        return []

    def _lend(self, value: object) -> int:
        key = self._exchange.lent.lend(value)
        self._lent_keys.append(key)
        return key


def _write(filling: Filling, offset: int, run: Run) -> None:
    """Copy a run into a segment: through write(2) into fresh pages, through our mapping into warm ones."""
    segment = filling.segment
    if offset + run.size_bytes <= segment.touched_bytes:
        run.copy_to(segment.map_for_writing() + offset)
        return
    try:
        segment.write(offset, run.as_view())
    except OSError as error:
        raise EncodeError(
            f"No memory for arrays of {run.size_bytes} bytes on their way to another process: {error}. Close other "
            "programs, or use smaller batches."
        ) from error


class IncomingAttachments:
    """What came with a frame. Owns it from the start; `close` lets go of what no value took."""

    def __init__(self, exchange: Exchange, table: Any, descriptors: list[int]) -> None:
        self._exchange = exchange
        self._segments: list[Source] = []
        self._home: list[Any] = []
        self._lent: list[Borrowed] = []
        self._regions: list[Any] = []
        self._arrays: list[Any] = []
        self._built: dict[int, Any] = {}
        self._buffers: dict[int, Any] = {}
        try:
            self._open(table, descriptors)
        except (TypeError, ValueError, AttributeError, OverflowError, LookupError, OSError) as error:
            raise DecodeError(
                f"A message has a table of another shape than the protocol's: {error}"
            ) from error
        finally:
            while descriptors:
                system.close(descriptors.pop())

    def home(self, number: int) -> Any:
        """An object of ours that came home."""
        return self._home[number]

    def lent(self, number: int) -> Borrowed:
        """What stands for an object of the sender."""
        return self._lent[number]

    def array(self, number: int, build: Callable[[Sequence[Any], Any, int, int], Any]) -> Any:
        """The array of that number, made by `build(entry, buffer, offset, size)` the first time it is asked for."""
        if number not in self._built:
            entry = self._arrays[number]
            cuda = self._exchange.cuda
            tensor = None if cuda is None else cuda.take(entry)
            self._built[number] = build(entry, *self._region(entry[4])) if tensor is None else tensor
        return self._built[number]

    def close(self) -> None:
        """Nothing more is built."""
        self._segments, self._home, self._lent, self._regions, self._arrays = [], [], [], [], []
        self._built, self._buffers = {}, {}

    def _open(self, table: Any, descriptors: list[int]) -> None:
        home, lent, segments, self._regions, self._arrays = table
        self._segments = [self._take_segment(entry, descriptors) for entry in segments]
        self._home = [self._exchange.lent.look_up(key) for key in home]
        self._lent = [self._borrow(*entry) for entry in lent]

    def _borrow(self, key: int, type_name: str, specials: bytes) -> Borrowed:
        borrowed = self._exchange.borrowed
        return borrowed.borrow(
            key, lambda: Handle(borrowed, key, type_name, int.from_bytes(specials[:MAX_MASK_BYTES], "little"))
        )

    def _take_segment(self, entry: Sequence[Any], descriptors: list[int]) -> Source:
        key = entry[0]
        if len(entry) == 1:
            source = self._exchange.lent.look_up(key)
        else:
            source = self._receive_segment(key, entry, descriptors)
        if not isinstance(source, (Filling, ReceivedSegment)):
            raise DecodeError(f"A message calls object {key!r} a segment, which it is not")
        return source

    def _receive_segment(self, key: int, entry: Sequence[Any], descriptors: list[int]) -> Borrowed:
        if not system.NAMED and not descriptors:
            raise DecodeError("A message refers to more segments than came with it")
        identity = int(entry[1])
        handle = system.open_named(entry[2]) if system.NAMED else descriptors.pop(0)
        borrowed = self._exchange.borrowed
        received: Borrowed | None = None
        try:
            segment = Segment(identity, handle, system.size_of(handle))
            received = borrowed.borrow(key, lambda: ReceivedSegment(borrowed, key, segment))
            if isinstance(received, ReceivedSegment):
                received.segment.reopen(segment)
        finally:
            if not isinstance(received, ReceivedSegment) or received.segment.handle != handle:
                system.close(handle)
        return received

    def _region(self, number: int) -> tuple[Any, int, int]:
        """(buffer, offset, size) of a region; None for a buffer if the array has no bytes."""
        if number == -1:
            return None, 0, 0
        region = self._regions[number]
        if isinstance(region, bytes):
            buffer = self._buffers.get(-1 - number)
            if buffer is None:
                buffer = self._buffers[-1 - number] = bytearray(region)
            return buffer, 0, len(region)
        segment, offset, size_bytes = region
        source = self._segments[segment]
        if not (offset >= 0 and size_bytes > 0 and offset + size_bytes <= source.segment.size_bytes):
            raise DecodeError(
                f"Bytes {offset} to {offset + size_bytes} of a segment of {source.segment.size_bytes} are not there"
            )
        buffer = self._buffers.get(segment)
        if buffer is None:
            buffer = self._buffers[segment] = self._exchange.memory.map(source)
        return buffer, offset, size_bytes
