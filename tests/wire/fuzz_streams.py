"""Damaged streams of frames, read off a socket by a Channel."""

from __future__ import annotations

import contextlib
import os
import socket
from array import array
from collections.abc import Sequence

from wire.corpus import Corpus
from wire.fuzz_guard import Guard, Report
from wire.layout import HEADER_BYTES, HEADER_FIELDS, KINDS, Message, framed, receive_all
from wire.mutation import EXTREMES, Mutator, Seed

from comfy_env_core.wire import Channel, WireError

FRAMES_PER_STREAM = 10
STREAMS_PER_CHECK = 100
# More than the buffer of a channel, so that a body is received in pieces of its own.
LARGE_BODY_BYTES = 70_000

Piece = tuple[bytes, Sequence[int]]


def fuzz_streams(guard: Guard, corpus: Corpus, seed: str, frames: int) -> Report:
    """Send so many frames; each stream must end as a closed connection does, or in a WireError."""
    report = Report()
    large = Message("large", os.urandom(16) * (LARGE_BODY_BYTES // 16), ())
    seeds = [Seed(message, (), (), ()) for message in (*corpus.messages, large)]
    mutator = Mutator(seeds, seed)
    guard.settle()
    for number in range(frames // FRAMES_PER_STREAM):
        pieces = [damaged_frame(mutator) for _ in range(FRAMES_PER_STREAM)]
        content = b"".join(piece for piece, _ in pieces)
        guard.begin(number, content)
        report.inputs += FRAMES_PER_STREAM
        try:
            report.values += _read(pieces)
        except (WireError, OSError):
            report.refused += 1
        except BaseException as error:  # noqa: BLE001  # exactly what must not happen
            report.add_failure(number, "stream", content, error)
        if number % STREAMS_PER_CHECK == 0 and (leaked := guard.leaked_descriptors()):
            raise AssertionError(
                f"{leaked} descriptors leaked in the {STREAMS_PER_CHECK} streams up to {number}"
            )
    guard.rest()
    report.growth_bytes = guard.growth_bytes
    return report


def damaged_frame(mutator: Mutator) -> Piece:
    """One frame, mostly with something wrong in its header, its body, or the descriptors beside it."""
    message = mutator.choose().message
    body = bytearray(message.body)
    draw = mutator.below(10)
    if draw < 3:
        mutator.damage(body)
    descriptors = list(message.descriptors)
    if draw == 3:
        descriptors = descriptors[1:]
    announced = len(descriptors) if mutator.below(12) else mutator.below(4)
    frame = bytearray(framed(KINDS[mutator.below(len(KINDS))], mutator.below(4), bytes(body), announced))
    if draw == 4:
        damage_header(mutator, frame)
    elif draw == 5 and mutator.below(2):
        mutator.damage(frame)
    return bytes(frame), descriptors


def damage_header(mutator: Mutator, frame: bytearray) -> None:
    """One field of the header becomes another number, or one of its bits another bit."""
    if mutator.below(2):
        frame[mutator.below(HEADER_BYTES)] ^= 1 << mutator.below(8)
        return
    offset, width = HEADER_FIELDS[mutator.below(len(HEADER_FIELDS))]
    number = EXTREMES[mutator.below(len(EXTREMES))] & ((1 << 8 * width) - 1)
    frame[offset : offset + width] = number.to_bytes(width, "little")


def _read(pieces: Sequence[Piece]) -> int:
    """How many frames a channel finds in it."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    channel = Channel(ours)
    try:
        with theirs:
            send_pieces(theirs, pieces)
        return receive_all(channel)
    finally:
        channel.close()


def send_pieces(sock: socket.socket, pieces: Sequence[Piece]) -> None:
    """Send as much as the socket takes at once."""
    with contextlib.suppress(BlockingIOError, ConnectionError):
        for content, descriptors in pieces:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []
            sent = sock.sendmsg([content], rights) if content else 0
            if sent < len(content):
                break
