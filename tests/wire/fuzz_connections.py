"""Whole ends of a conversation whose peer sends damaged frames: they answer or hang up, and nobody waits for ever."""

from __future__ import annotations

import socket
import threading
import time

from patience import PATIENCE_S
from wire.corpus import Corpus, Mesh
from wire.fuzz_guard import Guard, Report
from wire.fuzz_streams import Piece, damage_header, send_pieces
from wire.layout import KINDS, RAW_CODES, called, connect, framed
from wire.mutation import Mutator, Seed, analyse

from comfy_env_core.wire import IncomingCall, WireError
from comfy_env_core.wire.segments import SegmentMemory

FRAMES_PER_CONNECTION = 20
CALLS = 6


def fuzz_connections(guard: Guard, corpus: Corpus, seed: str, frames: int) -> Report:
    """Send so many frames to connections; afterwards every call they had made has an end."""
    report = Report()
    seeds = [analyse(message, RAW_CODES) for message in corpus.messages]
    mutator = Mutator(seeds, seed)
    memory = SegmentMemory()
    guard.settle()
    threads = threading.active_count()
    for number in range(frames // FRAMES_PER_CONNECTION):
        pieces = [_hostile_frame(mutator, mutator.choose()) for _ in range(FRAMES_PER_CONNECTION)]
        content = b"".join(piece for piece, _ in pieces)
        guard.begin(number, content)
        report.inputs += FRAMES_PER_CONNECTION
        try:
            _converse(pieces, memory, report)
        except BaseException as error:  # noqa: BLE001  # exactly what must not happen
            report.add_failure(number, "connection", content, error)
        if report.failures:  # one that waits in vain takes its time
            break
    memory.close()
    _await_threads(threads)
    guard.rest()
    leaked = guard.leaked_descriptors()
    if leaked:
        report.add_failure(0, "connection", b"", f"{leaked} descriptors leaked")
    report.growth_bytes = guard.growth_bytes
    return report


def _hostile_frame(mutator: Mutator, seed: Seed) -> Piece:
    """A frame with a valid header, mostly, and any body: also answers to calls that were made, and to none."""
    body = bytes(mutator.mutate(seed)) if mutator.below(4) else seed.message.body
    kind = KINDS[mutator.below(len(KINDS))]
    if kind in (1, 5) and mutator.below(8):
        body = called(b"echo", body)
    descriptors = seed.message.descriptors
    frame = bytearray(framed(kind, mutator.below(CALLS + 2), body, len(descriptors)))
    if mutator.below(80) == 0:
        damage_header(mutator, frame)
    return bytes(frame), descriptors


def _converse(pieces: list[Piece], memory: SegmentMemory, report: Report) -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    connection = connect(ours, memory, _echo)
    try:
        calls = [connection.call("wait", [Mesh()]) for _ in range(CALLS)]
        send_pieces(theirs, pieces)
    finally:
        theirs.close()
    deadline = time.monotonic() + PATIENCE_S
    for call in calls:
        if not call.wait(max(0, deadline - time.monotonic())):
            raise AssertionError("A call still waits though the peer has hung up")
        error = call.exception()
        if isinstance(error, WireError):
            report.refused += 1
        else:
            report.values += 1
    connection.join(PATIENCE_S)
    if connection.is_open:
        raise AssertionError("The connection is open though the peer has hung up")


def _echo(call: IncomingCall) -> None:
    try:
        call.reply(call.args())
    except WireError as error:
        call.fail(error)


def _await_threads(expected: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while threading.active_count() > expected:
        if time.monotonic() > deadline:
            raise AssertionError(f"Threads are left: {threading.enumerate()}")
        time.sleep(0.01)
