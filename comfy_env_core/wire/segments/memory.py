"""This process's segments: the pool of its own, and its mappings of all."""

from __future__ import annotations

import bisect
import ctypes
import os
import threading
import time
import weakref
from collections import deque
from typing import Any, NamedTuple

from comfy_env_core.wire.errors import EncodeError
from comfy_env_core.wire.forks import weak_callback
from comfy_env_core.wire.segments.kept import KeptCopies
from comfy_env_core.wire.segments.mapping import Mapping
from comfy_env_core.wire.segments.segment import Filling, Segment, Source
from comfy_env_core.wire.segments.system import system

SMALLEST_BYTES = 64 * 1024
# A workflow that runs again within this time finds its segments warm.
IDLE_S = 60.0
MOST_FREE_BYTES = 4 << 30
# With more arrays than this in received segments, descriptors are closed as soon as the segment is mapped: a process
# may have 1024 files open by default. Such an array is copied when it is passed on.
OPEN_DESCRIPTORS = 256


class MemoryStatistics(NamedTuple):
    """In bytes: our segments whose data somebody needs, those of them that are kept copies, our free ones, and
    mappings kept without an array in them."""

    used_bytes: int
    kept_bytes: int
    free_bytes: int
    mapped_bytes: int


class SegmentMemory:
    """One for a process and all its connections. Thread-safe.

    What becomes free is only noted at first, by finalisers, which may run anywhere; it is sorted in at the next call,
    or by a thread that exists only while something is idle. Free segments and idle mappings together stay below
    `limit_bytes`, and go after `idle_s` without use.
    """

    def __init__(self, limit_bytes: int | None = None, idle_s: float = IDLE_S) -> None:
        self.limit_bytes = _usual_limit_bytes() if limit_bytes is None else limit_bytes
        self._watch = system.open_watch()
        self.kept = KeptCopies(self.limit_bytes // 2, self._watch)
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._freed: deque[tuple[Segment, bool]] = deque()  # (our segment, whether it is spoiled)
        self._returned: deque[Mapping] = deque()
        self._free: dict[int, list[tuple[float, Segment]]] = {}  # size -> (since, segment), the warmest last
        self._idle: dict[int, Mapping] = {}  # segment id -> mapping
        self._active: dict[int, Mapping] = {}  # address -> mapping
        self._addresses: list[int] = []  # of the active ones, sorted
        self._used_bytes = self._free_bytes = self._idle_bytes = 0
        self._trimmer: threading.Thread | None = None
        self._closing = threading.Event()
        self._is_forked = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=weak_callback(self._before_fork), after_in_child=weak_callback(self._detach_in_fork)
            )

    # -- our own segments ----------------------------------------------------------------------------------

    def fill(self, size_bytes: int) -> Filling:
        """A segment of ours for that many bytes, warm if there is one. Raises EncodeError if there is no memory."""
        wanted = _size_class(size_bytes)
        with self._lock:
            self._sort_in()
            segments = self._free.get(wanted)
            segment = segments.pop()[1] if segments else None
            if segment is not None:
                self._free_bytes -= wanted
        if segment is None:
            try:
                segment = Segment.create(wanted)
            except OSError as error:
                raise EncodeError(
                    f"No shared memory for arrays of {size_bytes} bytes: {error}. Close other programs, or use smaller "
                    "batches."
                ) from error
        with self._lock:
            self._used_bytes += wanted
        return Filling(self, segment)

    def note_free(self, segment: Segment, is_spoiled: bool) -> None:
        """Nobody needs the bytes of our segment any more (called by finalisers)."""
        self._freed.append((segment, is_spoiled))

    # -- arrays in segments --------------------------------------------------------------------------------

    # Any: a ctypes array, the one buffer that torch, numpy and memoryview all accept as writable.
    def map(self, source: Source) -> Any:
        """A private writable buffer over a whole segment; holds `source` as long as anything uses the buffer.

        Raises OSError if the process is out of memory or mappings.
        """
        segment = source.segment
        with self._lock:
            self._sort_in()
            mapping = self._idle.pop(segment.id, None)
            if mapping is not None:
                self._idle_bytes -= mapping.size_bytes
        if mapping is None:
            mapping = Mapping(source, self._watch)
        mapping.source = weakref.ref(source)
        buffer = (ctypes.c_ubyte * mapping.size_bytes).from_address(mapping.address)
        with self._lock:
            self._active[mapping.address] = mapping
            bisect.insort(self._addresses, mapping.address)
            too_many = len(self._addresses) > OPEN_DESCRIPTORS
        if too_many and not isinstance(source, Filling) and not segment.is_passed_on:
            segment.close_handle()
        weakref.finalize(buffer, self._note_returned, mapping, source).atexit = False
        return buffer

    def locate(self, address: int, size_bytes: int) -> tuple[Source, int] | None:
        """(source, offset) if these bytes lie in a mapped segment and are still what everybody sees there."""
        mapping = self._mapping_at(address)
        if mapping is None or address + size_bytes > mapping.address + mapping.size_bytes:
            return None
        source = mapping.source()
        if source is None or mapping.was_written(address, size_bytes):
            return None
        return source, address - mapping.address

    def is_mapped(self, address: int) -> bool:
        """Whether this is memory of a segment. It is watched as such, if at all, and not as an array's."""
        return self._mapping_at(address) is not None

    def settle(self) -> None:
        """Sort in what became free. Quick if nothing did; best called while the peer is at work."""
        if self._returned or self._freed:
            with self._lock:
                self._sort_in()

    # -- all of it -----------------------------------------------------------------------------------------

    def statistics(self) -> MemoryStatistics:
        """What is there now."""
        with self._lock:
            self._sort_in()
            return MemoryStatistics(
                self._used_bytes, self.kept.size_bytes, self._free_bytes, self._idle_bytes
            )

    def trim(self, older_than_s: float = 0.0) -> None:
        """Give back what has been idle that long."""
        with self._lock:
            self.kept.trim(older_than_s)
            self._sort_in()
            self._drop_idle(time.monotonic() - older_than_s)

    def close(self) -> None:
        """Give everything back that no array uses; the memory may still be used afterwards."""
        self._closing.set()
        self.trim()

    def _before_fork(self) -> None:
        """A child is about to be forked that shares our arrays without telling their owners: their bytes must stay."""
        with self._lock:
            for mapping in self._active.values():
                source = mapping.source()
                if source is not None:
                    source.spoil()

    def _detach_in_fork(self) -> None:
        """In the child: our segments are the parent's business."""
        self._lock = threading.Lock()
        self._closing.set()
        self._watch = None
        self.kept.detach_in_fork()
        self._freed.clear()
        # Arrays of the parent's stay where they are; their mappings are watched by the parent and never used again.
        self._is_forked = True
        self._returned.clear()
        self._free = {}
        self._idle = {}
        self._used_bytes = self._free_bytes = self._idle_bytes = 0

    def _mapping_at(self, address: int) -> Mapping | None:
        with self._lock:
            index = bisect.bisect_right(self._addresses, address) - 1
            mapping = self._active[self._addresses[index]] if index >= 0 else None
        is_inside = mapping is not None and address < mapping.address + mapping.size_bytes
        return mapping if is_inside else None

    # -- sorting in and out, with the lock held ------------------------------------------------------------

    def _note_returned(self, mapping: Mapping, source: Source) -> None:
        # `source` is let go after this, so the mapping is known to be idle before its bytes can change.
        self._returned.append(mapping)

    def _sort_in(self) -> None:
        now = time.monotonic()
        while self._returned and not self._is_forked:
            self._take_back(self._returned.popleft(), now)
        while self._freed:
            segment, is_spoiled = self._freed.popleft()
            self._used_bytes -= segment.size_bytes
            if is_spoiled:
                segment.close()
                continue
            self._free.setdefault(segment.size_bytes, []).append((now, segment))
            self._free_bytes += segment.size_bytes
        if self._free_bytes + self._idle_bytes > self.limit_bytes:
            self._drop_oldest()
        if (self._free_bytes or self._idle_bytes or self.kept.size_bytes) and self._trimmer is None:
            self._start_trimmer()

    def _take_back(self, mapping: Mapping, now: float) -> None:
        del self._active[mapping.address]
        del self._addresses[bisect.bisect_left(self._addresses, mapping.address)]
        if mapping.segment_id in self._idle or not mapping.show_segment():
            mapping.unmap()
            return
        mapping.idle_since = now
        self._idle[mapping.segment_id] = mapping
        self._idle_bytes += mapping.size_bytes

    def _drop_oldest(self) -> None:
        """One idle mapping or free segment after the other, until the limit is kept."""
        while self._free_bytes + self._idle_bytes > self.limit_bytes:
            mapping = min(self._idle.values(), key=lambda mapping: mapping.idle_since, default=None)
            size_bytes = min(
                (size for size in self._free if self._free[size]), key=self._free_since, default=0
            )
            if mapping is not None and (not size_bytes or mapping.idle_since <= self._free_since(size_bytes)):
                self._unmap(mapping)
            else:
                self._close_free(size_bytes)

    def _drop_idle(self, since: float) -> None:
        """Unmap and close what has been idle since then or longer."""
        for mapping in [mapping for mapping in self._idle.values() if mapping.idle_since <= since]:
            self._unmap(mapping)
        for size_bytes in self._free:
            while self._free[size_bytes] and self._free_since(size_bytes) <= since:
                self._close_free(size_bytes)

    def _free_since(self, size_bytes: int) -> float:
        return self._free[size_bytes][0][0]

    def _close_free(self, size_bytes: int) -> None:
        self._free[size_bytes].pop(0)[1].close()
        self._free_bytes -= size_bytes

    def _unmap(self, mapping: Mapping) -> None:
        del self._idle[mapping.segment_id]
        self._idle_bytes -= mapping.size_bytes
        mapping.unmap()

    # -- trimming ------------------------------------------------------------------------------------------

    def _start_trimmer(self) -> None:
        self._trimmer = threading.Thread(target=self._trim_when_idle, name="comfy-env trim", daemon=True)
        self._trimmer.start()

    def _trim_when_idle(self) -> None:
        while not self._closing.wait(self._idle_s / 2):
            self.trim(self._idle_s)
            with self._lock:
                if not (self._free_bytes or self._idle_bytes or self.kept.size_bytes):
                    self._trimmer = None
                    return


def _size_class(size_bytes: int) -> int:
    """The size rounded up by at most an eighth, so that a slightly larger picture finds a warm segment too. Pages that
    nobody touches take no memory."""
    step = max(SMALLEST_BYTES, 1 << max(size_bytes - 1, 1).bit_length() - 4)
    return max(-(-size_bytes // step) * step, SMALLEST_BYTES)


def _usual_limit_bytes() -> int:
    """An eighth of the machine's memory, 4 GiB at most."""
    if not hasattr(os, "sysconf"):
        return MOST_FREE_BYTES // 4
    return min(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 8, MOST_FREE_BYTES)
