"""Shared memory that carries the bytes of arrays from one process to another.

A *segment* is a piece of shared memory without a name. Its maker writes the bytes of a message into it and lends it to
the peer; the peer maps it copy-on-write, so that whatever node code does to an array stays with that process. When
nobody needs the bytes any more the segment is free and keeps its pages: first touch of fresh shared pages costs ten to
seventy times the copy itself. docs/wire.md has the life cycle.
"""

from __future__ import annotations

from comfy_env_core.wire.segments.memory import MemoryStatistics, SegmentMemory
from comfy_env_core.wire.segments.segment import Filling, ReceivedSegment, Segment, Source

__all__ = ["Filling", "MemoryStatistics", "ReceivedSegment", "Segment", "SegmentMemory", "Source"]
