"""Numbers both sides agree on: version, frame layout, limits.

A frame is a header of 16 bytes, little endian, followed by its body::

    u32 body_bytes | u8 kind | u8 zero | u16 segments | u64 call_id

`segments` file descriptors travel beside the frame (SCM_RIGHTS), in order. `call_id` is chosen by the caller
and unique among its open calls; 0 where no answer is wanted.
"""

from __future__ import annotations

import enum
import struct

PROTOCOL_VERSION = 1

HEADER = struct.Struct("<IBBHQ")

# A frame holds what is not in a segment: ids, strings, small arrays. On transports without descriptor passing
# the arrays are in the frame as well, so the limit has to leave room for a batch of images.
MAX_FRAME_BYTES = 1 << 30
# The kernel passes at most 253 descriptors at once (SCM_MAX_FD, include/net/scm.h); further arrays of the same
# frame share the last segment.
MAX_SEGMENTS = 128
# msgpack refuses plain containers nested deeper than 511; ours nest through Python frames, so stay below.
MAX_DEPTH = 128
# Smaller arrays are cheaper to copy through the socket than to map (measured: a mapping costs about 15 us).
SEGMENT_THRESHOLD_BYTES = 16 * 1024


class FrameKind(enum.IntEnum):
    """What a frame asks for or tells."""

    CALL = 1  # method and arguments; answered by REPLY or FAIL with the same id
    REPLY = 2  # the result
    FAIL = 3  # the exception, as `failures.describe_error` gives it
    CANCEL = 4  # the caller no longer wants the answer; no body
    NOTIFY = 5  # as CALL, but nobody waits
    RELEASE = 6  # handles the sender dropped: a list of [key, times]
