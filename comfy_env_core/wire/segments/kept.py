"""Copies of arrays that are sent again and again, valid as long as the array was not written."""

from __future__ import annotations

import ctypes
import time
import weakref
from typing import Any, Protocol

from comfy_env_core.wire.segments.segment import Filling
from comfy_env_core.wire.segments.system import system

# Below this the copy is cheaper than the bookkeeping.
SMALLEST_BYTES = 1 << 20
MOST_ENTRIES = 64


class WriteWatch(Protocol):
    """Tells whether ordinary memory was written; see pages.py. Ranges are (address, size in bytes) of whole pages."""

    def begin(self, address: int, size_bytes: int) -> bool:
        """Watch from now on; False if this memory cannot be watched."""

    def was_written(self, address: int, size_bytes: int) -> bool:
        """Whether it was written, replaced or given back since; True in doubt."""

    def is_shared(self, address: int, size_bytes: int) -> bool:
        """Whether other processes, or other mappings, may write it unseen; True in doubt."""

    def end(self, address: int, size_bytes: int) -> None:
        """Stop watching."""


class _Entry:
    """One array that was sent: where its bytes are, and from the second time on our copy of them.

    `inner` is (address, size) of the pages that are the array's alone; others are written for other reasons, too.
    """

    __slots__ = ("address", "filling", "inner", "is_watched", "owner", "size_bytes", "used_at")

    def __init__(self, owner: weakref.ref[Any], address: int, size_bytes: int) -> None:
        self.owner = owner
        self.address = address
        self.size_bytes = size_bytes
        page = system.PAGE_BYTES
        start = -(-address // page) * page
        self.inner = (start, (address + size_bytes) // page * page - start)
        self.filling: Filling | None = None
        self.is_watched = False
        self.used_at = 0.0

    def has_same_edges(self, filling: Filling) -> bool:
        """Whether what lies before and behind the inner pages is as it was."""
        start, size = self.inner
        copy = filling.segment.map_for_writing()
        edges = ((self.address, start), (start + size, self.address + self.size_bytes))
        return all(
            ctypes.string_at(begin, end - begin) == ctypes.string_at(copy + begin - self.address, end - begin)
            for begin, end in edges
        )


class KeptCopies:
    """ComfyUI hands the same cached picture to node after node. The second time a large array is sent, the kernel is
    asked to watch its memory; from the third time on the copy made then is sent again, if nothing was written.

    Does nothing without a `watch`. Calls come from any thread; an array dies in any thread.
    """

    def __init__(self, limit_bytes: int, watch: WriteWatch | None) -> None:
        self._limit_bytes = limit_bytes
        self._watch = watch
        self._entries: dict[int, _Entry] = {}  # id of the array -> entry

    @property
    def size_bytes(self) -> int:
        """How much is kept."""
        return sum(entry.size_bytes for entry in list(self._entries.values()) if entry.filling is not None)

    def find(self, owner: Any, address: int, size_bytes: int) -> Filling | None:
        """A copy of these bytes of `owner` that is still true; it begins at the segment's beginning."""
        entry = self._entries.get(id(owner))
        if entry is None or self._watch is None or entry.filling is None:
            return None
        if entry.owner() is not owner or (entry.address, entry.size_bytes) != (address, size_bytes):
            return None
        filling = entry.filling
        if self._watch.was_written(*entry.inner) or not entry.has_same_edges(filling):
            entry.filling = None
            return None
        entry.used_at = time.monotonic()
        return filling

    def expect(self, owner: Any, address: int, size_bytes: int) -> bool:
        """These bytes are about to be copied: whether the copy is worth a `keep` afterwards."""
        if self._watch is None or size_bytes < SMALLEST_BYTES or size_bytes > self._limit_bytes:
            return False
        entry = self._entries.get(id(owner))
        if entry is None or entry.owner() is not owner or entry.address != address:
            self._remember(owner, address, size_bytes)
            return False
        if entry.size_bytes != size_bytes:
            return False
        self._forget_copies_over(entry)
        # Before the copy: what is written while it is made counts as written after it.
        entry.is_watched = self._watch.begin(*entry.inner)
        return entry.is_watched

    def keep(self, owner: Any, filling: Filling) -> None:
        """The copy that was expected."""
        entry = self._entries.get(id(owner))
        if entry is None or self._watch is None or not entry.is_watched:
            return
        # After the copy, when every page is there to be asked about.
        if not self._watch.is_shared(*entry.inner):
            entry.filling = filling
            entry.used_at = time.monotonic()
            self._make_room()

    def trim(self, older_than_s: float) -> None:
        """Forget what was not used for that long."""
        limit = time.monotonic() - older_than_s
        for identity, entry in list(self._entries.items()):
            if entry.used_at <= limit:
                self._forget(identity)

    def detach_in_fork(self) -> None:
        """In a forked child nothing is watched."""
        self._watch = None
        self._entries = {}

    def _forget_copies_over(self, entry: _Entry) -> None:
        """Of arrays that share memory with this one: to begin a watch anew forgets what was written before."""
        start, size = entry.inner
        for other in list(self._entries.values()):
            if other.inner[0] < start + size and start < other.inner[0] + other.inner[1]:
                other.filling = None

    def _remember(self, owner: Any, address: int, size_bytes: int) -> None:
        identity = id(owner)
        self._forget(identity)
        if len(self._entries) >= MOST_ENTRIES:
            self._forget_oldest()
        reference = weakref.ref(owner, lambda _: self._forget(identity))
        entry = _Entry(reference, address, size_bytes)
        entry.used_at = time.monotonic()
        self._entries[identity] = entry

    def _make_room(self) -> None:
        while self.size_bytes > self._limit_bytes:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        entries = list(self._entries.items())
        if entries:
            self._forget(min(entries, key=lambda item: item[1].used_at)[0])

    def _forget(self, identity: int) -> None:
        # Also called when the array dies, in any thread, so without a lock: one step that cannot be interrupted.
        entry = self._entries.pop(identity, None)
        if entry is not None and entry.is_watched and self._watch is not None:
            self._watch.end(*entry.inner)
