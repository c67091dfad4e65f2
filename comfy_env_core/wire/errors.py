"""What can go wrong between two processes, apart from what the other side's code raises itself."""

from __future__ import annotations


class WireError(Exception):
    """Any failure of the connection or of what travels on it."""


class PeerGone(WireError, ConnectionError):
    """The other process closed the connection or died; the call may or may not have run."""


class ProtocolMismatch(WireError):
    """The two sides do not speak the same protocol version, or the peer is not one of ours."""


class FrameError(WireError):
    """Bytes arrived that are no frame of this protocol, or a frame broke a limit."""


class EncodeError(WireError, TypeError):
    """A value cannot be sent; the message names its type."""


class DecodeError(WireError, ValueError):
    """A received value cannot be built here; the message says what is missing or damaged."""


class CallTimeout(WireError, TimeoutError):
    """No answer within the time the caller set."""


class DeadHandle(WireError, ReferenceError):
    """An object was used whose process has ended."""


class ForeignHandle(WireError, TypeError):
    """An object that lives in one worker was sent to another."""


class NotHere(WireError, TypeError):
    """An object of another process was used as only an object of this one can be."""
