"""A segment, and what keeps its bytes in use."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Union

from comfy_env_core.wire.objects.handles import Borrowed, BorrowedObjects, SharedBytes
from comfy_env_core.wire.segments.system import system

if TYPE_CHECKING:
    from comfy_env_core.wire.segments.memory import SegmentMemory


class Segment:
    """One piece of shared memory. `id` is the same in every process and never given twice.

    `handle` is None when this process closed it and goes on with its mapping alone; not if it `is_passed_on`. Of a
    segment we made, `address` is our writable mapping, 0 before it is needed, and `touched_bytes` have memory behind
    them.
    """

    __slots__ = ("address", "handle", "id", "is_passed_on", "size_bytes", "touched_bytes")

    def __init__(self, identity: int, handle: int, size_bytes: int) -> None:
        self.id = identity
        self.handle: int | None = handle
        self.size_bytes = size_bytes
        self.address = 0
        self.touched_bytes = 0
        self.is_passed_on = False

    @classmethod
    def create(cls, size_bytes: int) -> Segment:
        """A new segment of this process. Raises OSError."""
        return cls(int.from_bytes(os.urandom(8), "little") >> 1, system.create(size_bytes), size_bytes)

    def map_for_writing(self) -> int:
        """The address of our own mapping of it."""
        if not self.address:
            self.address = system.map_memory(self._open_handle(), self.size_bytes, False)
        return self.address

    def write(self, offset: int, data: memoryview) -> None:
        """Copy bytes to where there may be no memory yet. Raises OSError if there is none to be had."""
        system.write(self._open_handle(), offset, data)
        self.touched_bytes = max(self.touched_bytes, offset + data.nbytes)

    def map_privately(self) -> int:
        """A new copy-on-write mapping; the caller unmaps it. Raises OSError."""
        return system.map_memory(self._open_handle(), self.size_bytes, True)

    def close(self) -> None:
        """Let go of the memory, apart from private mappings."""
        if self.address:
            system.unmap(self.address, self.size_bytes)
            self.address = 0
        self.close_handle()

    def close_handle(self) -> None:
        """From now on the segment cannot be mapped again or passed on from here."""
        handle, self.handle = self.handle, None
        if handle is not None:
            system.close(handle)

    def reopen(self, again: Segment) -> None:
        """Take over the handle with which this segment arrived once more, if it was closed here meanwhile."""
        if self.handle is None and (again.id, again.size_bytes) == (self.id, self.size_bytes):
            self.handle = again.handle

    def _open_handle(self) -> int:
        if self.handle is None:
            raise OSError(f"Segment {self.id:x} was closed here and cannot be mapped again")
        return self.handle


class Filling(SharedBytes):
    """The bytes somebody still needs in a segment of ours: arrays of our own, the peers we lent it to, a kept copy.

    Each of them holds this object. With the last one the segment goes back to the pool, or away if the bytes are
    `is_spoiled`.
    """

    __slots__ = ("__weakref__", "_memory", "is_spoiled", "segment")

    def __init__(self, memory: SegmentMemory, segment: Segment) -> None:
        self._memory = memory
        self.segment = segment
        self.is_spoiled = False

    def spoil(self) -> None:
        self.is_spoiled = True

    def __del__(self) -> None:
        self._memory.note_free(self.segment, self.is_spoiled)


class ReceivedSegment(Borrowed, SharedBytes):
    """A segment of the peer whose bytes we need. With its last holder the peer is told that it is free."""

    __slots__ = ("segment",)

    def __init__(self, borrowed: BorrowedObjects, key: int, segment: Segment) -> None:
        super().__init__(borrowed, key)
        self.segment = segment

    @property
    def key(self) -> int:
        """What the peer knows it by."""
        return self._key

    def spoil(self) -> None:
        self._is_spoiled = True

    def __del__(self) -> None:
        self.segment.close_handle()
        super().__del__()


Source = Union[Filling, ReceivedSegment]
"""Whatever keeps the bytes of a segment as they are."""
