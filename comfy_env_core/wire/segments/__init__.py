"""Shared memory that carries arrays from one process to another, without a name and without a copy to spare.

The sender creates a segment, writes the array once, sends the descriptor and closes it. The receiver maps it
copy-on-write and closes the descriptor too: from then on the memory lives exactly as long as the array does,
and whatever the receiver changes stays with it.
"""

from __future__ import annotations

from comfy_env_core.wire.segments.outgoing import OutgoingSegments, Place
from comfy_env_core.wire.segments.received import ReceivedSegments

__all__ = ["OutgoingSegments", "Place", "ReceivedSegments"]
