"""Numbers both sides agree on: version, frame layout, limits. docs/wire.md explains them.

A frame is a header of 16 bytes, little endian, followed by its body::

    u32 body_bytes | u8 kind | u8 zero | u16 segments | u64 call_id

`segments` file descriptors travel beside the frame (SCM_RIGHTS), in order. `call_id` is chosen by the caller and unique
among its open calls; 0 where no answer is wanted. The body of a CALL or NOTIFY begins with a call header::

    u64 parent | u8 name_bytes | name

`parent` is the call of the receiver that the sender is answering while it makes this one, or 0. Then, and at once in a
REPLY or FAIL, follows a message: `u32 table_bytes | table | value`, see attachments.py and messages.py.
"""

from __future__ import annotations

import enum
import struct

PROTOCOL_VERSION = 1

HEADER = struct.Struct("<IBBHQ")
CALL_HEADER = struct.Struct("<QB")
TABLE_SIZE = struct.Struct("<I")
NO_TABLE = TABLE_SIZE.pack(0)

# Of the extension codes with a payload that is not msgpack alone, see messages.py.
NUMBER = struct.Struct("<I")
DEFINITION = struct.Struct("<IB")
INSTANCE_HEAD = struct.Struct("<II")
LIST, DICT = 0, 1

# A frame holds what is not in a segment: ids, strings, small arrays. On transports without shared memory the arrays are
# in the frame as well, so the limit has to leave room for a batch of images.
MAX_FRAME_BYTES = 1 << 30
# The kernel passes at most 253 descriptors at once (SCM_MAX_FD, include/net/scm.h).
MAX_SEGMENTS = 128
# msgpack refuses plain containers nested deeper than 511; ours nest through Python frames, so stay below.
MAX_DEPTH = 128
# If the arrays of a message are together smaller than this, they are cheaper to copy through the socket.
INLINE_BELOW_BYTES = 16 * 1024
# Smaller arrays of one message share a segment; a larger one has its own, so that it can be freed by itself.
SHARED_BELOW_BYTES = 1 << 20
# Of arrays that share a segment: what vector instructions of any machine like.
ALIGNMENT_BYTES = 64


class FrameKind(enum.IntEnum):
    """What a frame asks for or tells."""

    CALL = 1  # method and arguments; answered by REPLY or FAIL with the same id
    REPLY = 2  # the result
    FAIL = 3  # the exception, as `failures.describe_error` gives it
    CANCEL = 4  # the caller no longer wants the answer; no body
    NOTIFY = 5  # as CALL, but nobody waits
    RELEASE = (
        6  # what the sender no longer needs of the receiver's: a msgpack list of [key, times, is spoiled]
    )
