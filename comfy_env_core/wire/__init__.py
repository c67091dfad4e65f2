"""What travels between ComfyUI's process and a worker: frames, values, shared memory, handles, errors.

Imported by both sides. Depends on msgpack alone and runs on Python 3.9+.
"""

from __future__ import annotations

from comfy_env_core.wire.calls import IncomingCall, PendingCall
from comfy_env_core.wire.connection import Connection
from comfy_env_core.wire.crew import Crew
from comfy_env_core.wire.errors import (
    CallTimeout,
    DeadHandle,
    DecodeError,
    EncodeError,
    ForeignHandle,
    FrameError,
    PeerGone,
    ProtocolMismatch,
    WireError,
)
from comfy_env_core.wire.failures import RemoteError, describe_error, rebuild_error, remote_origin
from comfy_env_core.wire.frames import Channel
from comfy_env_core.wire.handshake import receive_greeting, send_greeting
from comfy_env_core.wire.objects.codecs import Codecs
from comfy_env_core.wire.objects.live import Handle
from comfy_env_core.wire.segments import MemoryStatistics, SegmentMemory
from comfy_env_core.wire.values.snapshot import freeze, thaw

__all__ = [
    "CallTimeout",
    "Channel",
    "Codecs",
    "Connection",
    "Crew",
    "DeadHandle",
    "DecodeError",
    "EncodeError",
    "ForeignHandle",
    "FrameError",
    "Handle",
    "IncomingCall",
    "MemoryStatistics",
    "PeerGone",
    "PendingCall",
    "ProtocolMismatch",
    "RemoteError",
    "SegmentMemory",
    "WireError",
    "describe_error",
    "freeze",
    "rebuild_error",
    "receive_greeting",
    "remote_origin",
    "send_greeting",
    "thaw",
]
