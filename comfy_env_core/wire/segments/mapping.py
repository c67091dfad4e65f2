"""A private mapping of a segment, in use or kept for its next bytes."""

from __future__ import annotations

import weakref

from comfy_env_core.wire.segments.kept import WriteWatch
from comfy_env_core.wire.segments.segment import Source
from comfy_env_core.wire.segments.system import system

#: A mapping this large is watched. The page tables of a smaller one are looked through as quickly.
WATCHED_FROM_BYTES = 1 << 20


class Mapping:
    """Copy-on-write over a whole segment. Pages that were written are this process's own: they are not what others see
    there, and would go on hiding the segment when it is filled again.

    Whether there are any is read from the page tables the first time. If there are none, the kernel watches the mapping
    from then on, and says so fifty times faster (128 MB: 20 us instead of 1.4 ms).
    """

    __slots__ = ("_is_watched", "_watch", "address", "idle_since", "segment_id", "size_bytes", "source")

    def __init__(self, source: Source, watch: WriteWatch | None) -> None:
        segment = source.segment
        self.segment_id = segment.id
        self.size_bytes = segment.size_bytes
        self.address = segment.map_privately()
        self.source: weakref.ref[Source] = weakref.ref(source)
        self.idle_since = 0.0
        self._watch = watch if segment.size_bytes >= WATCHED_FROM_BYTES else None
        self._is_watched = False

    def was_written(self, address: int, size_bytes: int) -> bool:
        """Whether these bytes, or others in the same pages, may differ from the segment's."""
        if self._watch is None or not self._is_watched:
            return system.was_written(address, size_bytes)
        page = system.PAGE_BYTES
        start, end = address & -page, (address + size_bytes + page - 1) & -page
        return self._watch.was_written(start, end - start)

    def show_segment(self) -> bool:
        """Drop what was written, if anything; False if the mapping has to be made anew for that."""
        if self.was_written(self.address, self.size_bytes):
            if self._watch is not None and self._is_watched:
                self._watch.end(self.address, self.size_bytes)
                self._is_watched = False
            return system.forget_writes(self.address, self.size_bytes)
        if self._watch is not None and not self._is_watched:
            self._is_watched = self._watch.begin(self.address, self.size_bytes)
        return True

    def unmap(self) -> None:
        """End it; no array may be left in it."""
        system.unmap(self.address, self.size_bytes)
