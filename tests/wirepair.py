"""Two codecs of one process that speak to each other without a connection."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from comfy_env_core.wire.attachments import Exchange
from comfy_env_core.wire.encoding import Encoded
from comfy_env_core.wire.messages import MessageCodec
from comfy_env_core.wire.objects.allowed import AllowList
from comfy_env_core.wire.objects.codecs import Codecs
from comfy_env_core.wire.objects.handles import BorrowedObjects, LentObjects
from comfy_env_core.wire.segments import SegmentMemory
from comfy_env_core.wire.values import classes

Allowed = Callable[[], AllowList] | None


class CodecPair:
    """`send` encodes on the left and decodes on the right. Each side has its own memory, as two processes have."""

    def __init__(self, *, passes_segments: bool = True, allowed: Allowed = None) -> None:
        self.left = _codec("right", passes_segments, allowed)
        self.right = _codec("left", passes_segments, allowed)

    def send(self, value: Any) -> Any:
        """The value as it arrives on the right."""
        return deliver(self.left.encode(value), self.right)

    def send_back(self, value: Any) -> Any:
        """The value as it arrives on the left."""
        return deliver(self.right.encode(value), self.left)

    def settle(self) -> None:
        """Tell each side what the other no longer needs, as the connection does before every message."""
        for one, other in ((self.left, self.right), (self.right, self.left)):
            other.exchange.lent.take_back(one.exchange.borrowed.take_dropped())

    def close(self) -> None:
        """Give back all shared memory."""
        for side in (self.left, self.right):
            side.exchange.memory.close()


def deliver(encoded: Encoded, receiver: MessageCodec) -> Any:
    """The value of a message, as the receiver builds it."""
    descriptors = [os.dup(number) for number in encoded.descriptors]
    return receiver.receive(encoded.body, 0, descriptors).decode()


def round_trip(value: Any, *, passes_segments: bool = True) -> Any:
    """The value as it arrives at the other side."""
    pair = CodecPair(passes_segments=passes_segments)
    try:
        return pair.send(value)
    finally:
        pair.close()


def _codec(peer: str, passes_segments: bool, allowed: Allowed) -> MessageCodec:
    exchange = Exchange(LentObjects(), BorrowedObjects(peer), SegmentMemory(), passes_segments)
    return MessageCodec(
        exchange, knows=lambda facts: classes.is_known(*facts), here="here", codecs=Codecs(), allowed=allowed
    )
