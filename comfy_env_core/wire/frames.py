"""Whole frames over a stream socket, with the descriptors that belong to them."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from comfy_env_core.wire.errors import FrameError
from comfy_env_core.wire.protocol import HEADER, MAX_FRAME_BYTES, MAX_SEGMENTS, FrameKind

BUFFER_BYTES = 64 * 1024
LARGE_STEP_BYTES = 1 << 20
# Room for the descriptors of one frame; the kernel never merges those of two sends into one receive.
ANCILLARY_BYTES = 4 * 256 + 64
# Descriptors of frames that are still on their way; a peer that keeps to the protocol sends them with their frames.
MAX_UNCLAIMED = 2 * 256
# Received descriptors must not leak into programs that node code starts. Plain integers: the enum's operators take
# longer than the rest of a receive.
RECEIVE_FLAGS = int(getattr(socket, "MSG_CMSG_CLOEXEC", 0))
TRUNCATED = int(getattr(socket, "MSG_CTRUNC", 0))


# How long a wait may take that is spent looking; and of how many cores there must be more than one for that.
BRISK_S = 0.001
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Frame(NamedTuple):
    """One received frame; whoever takes it owns the descriptors."""

    kind: int
    call_id: int
    body: bytes
    descriptors: list[int]

    def close(self) -> None:
        """Close the descriptors, if nobody took them."""
        while self.descriptors:
            os.close(self.descriptors.pop())


class Channel:
    """Sends and receives frames; any thread may send, one thread receives.

    Owns the socket. `passes_descriptors` says whether segments can travel (Unix sockets) or arrays must be
    in the frame (TCP). Sending raises OSError when the peer is gone.
    """

    def __init__(self, sock: socket.socket, *, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._socket = sock
        self._sending = threading.Lock()
        self._max_frame_bytes = max_frame_bytes
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._start = 0
        self._end = 0
        self._descriptors: deque[int] = deque()
        self._poll = _poller(sock)
        self._was_short = False
        self.passes_descriptors = sys.platform != "win32" and sock.family == socket.AF_UNIX

    def send(self, kind: FrameKind, call_id: int, body: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send one frame whole. The caller still owns the descriptors and closes them afterwards."""
        if len(body) > self._max_frame_bytes:
            raise FrameError(
                f"A message of {len(body)} bytes is larger than the limit of {self._max_frame_bytes} bytes. "
                "Arrays of any size travel outside this limit; long texts and byte strings do not."
            )
        header = HEADER.pack(len(body), kind, 0, len(descriptors), call_id)
        with self._sending:
            if descriptors:
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))
                sent = self._socket.sendmsg([header, body], [rights])
            elif len(body) < BUFFER_BYTES:
                self._socket.sendall(header + body)
                return
            else:
                sent = self._socket.sendmsg([header, body]) if hasattr(self._socket, "sendmsg") else 0
            self._send_rest(header, body, sent)

    def wait(self, timeout_s: float | None, *, is_urgent: bool) -> bool:
        """Whether `receive` has something to read within that time (None: ever): a frame, or the end.

        If a thread waits for it, and the last wait was short, the first moment of this one is spent looking instead of
        sleeping: waking up a sleeping core takes longer than a small call.
        """
        if self._end > self._start:
            return True
        if not is_urgent:
            return self._poll(timeout_s)
        began = time.perf_counter()
        if self._was_short and self._look_until(began + BRISK_S):
            return True
        is_ready = self._poll(timeout_s)
        self._was_short = CORES > 1 and time.perf_counter() - began < BRISK_S
        return is_ready

    def _look_until(self, deadline: float) -> bool:
        while not self._poll(0.0):
            if time.perf_counter() > deadline:
                return False
            _give_way()
        return True

    def receive(self) -> Frame | None:
        """The next frame, or None when the peer closed the connection between two frames.

        Raises FrameError for anything that is no frame (the connection is unusable then), OSError if the
        connection broke.
        """
        if self._end - self._start < HEADER.size and not self._fill(HEADER.size, at_frame_start=True):
            return None
        body_bytes, kind, zero, segments, call_id = HEADER.unpack_from(self._buffer, self._start)
        self._start += HEADER.size
        if zero or segments > MAX_SEGMENTS or body_bytes > self._max_frame_bytes:
            raise FrameError(
                f"Not a frame of this protocol: kind {kind}, {body_bytes} bytes (limit {self._max_frame_bytes}), "
                f"{segments} segments (limit {MAX_SEGMENTS})"
            )
        body = self._take(body_bytes)
        if len(self._descriptors) < segments:
            raise FrameError(
                f"A frame announced {segments} segments, {len(self._descriptors)} arrived with it"
            )
        descriptors = [self._descriptors.popleft() for _ in range(segments)] if segments else []
        return Frame(kind, call_id, body, descriptors)

    def shut_down(self) -> None:
        """End the conversation in both directions; wakes a thread blocked in `receive`, here and there."""
        with contextlib.suppress(OSError):  # the peer did it first
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket and whatever descriptors were received but belong to no frame yet."""
        self.shut_down()
        with self._sending:  # a thread inside send() must not find its descriptor reused by another file
            self._socket.close()
        while self._descriptors:
            os.close(self._descriptors.popleft())

    def detach_in_fork(self) -> None:
        """In a forked process: replace the inherited socket, keeping its number from being reused."""
        self._sending = threading.Lock()
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, self._socket.fileno(), inheritable=False)
        os.close(nowhere)

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def _send_rest(self, header: bytes, body: bytes, sent: int) -> None:
        if sent < len(header):
            self._socket.sendall(memoryview(header)[sent:])
            sent = len(header)
        if sent < len(header) + len(body):
            self._socket.sendall(memoryview(body)[sent - len(header) :])

    def _fill(self, wanted: int, *, at_frame_start: bool = False) -> bool:
        """Have `wanted` bytes in the buffer; False at a clean end of stream."""
        while self._end - self._start < wanted:
            if self._start:
                kept = self._end - self._start
                self._buffer[:kept] = self._buffer[self._start : self._end]
                self._start, self._end = 0, kept
            received = self._receive_into(self._buffer[self._end :])
            if not received:
                if at_frame_start and self._start == self._end:
                    return False
                raise FrameError("The connection ended in the middle of a frame")
            self._end += received
        return True

    def _take(self, size: int) -> bytes:
        if size <= BUFFER_BYTES - HEADER.size:
            if self._end - self._start < size:
                self._fill(size)
            body = bytes(self._buffer[self._start : self._start + size])
            self._start += size
            return body
        whole = bytearray(self._buffer[self._start : self._end])
        self._start = self._end = 0
        while len(whole) < size:
            # No more than as much again as has arrived: what a header announces may never come.
            filled = len(whole)
            whole.extend(bytes(min(size - filled, max(filled, LARGE_STEP_BYTES))))
            with memoryview(whole) as view:
                while filled < len(whole):
                    received = self._receive_into(view[filled:])
                    if not received:
                        raise FrameError("The connection ended in the middle of a frame")
                    filled += received
        return whole  # type: ignore[return-value]  # a bytearray serves every reader of it, uncopied

    def _receive_into(self, view: memoryview) -> int:
        if not self.passes_descriptors:
            return self._socket.recv_into(view)
        received, ancillary, flags, _ = self._socket.recvmsg_into([view], ANCILLARY_BYTES, RECEIVE_FLAGS)
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array("i")
                numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
                self._descriptors.extend(numbers)
                if len(self._descriptors) > MAX_UNCLAIMED:
                    raise FrameError(f"{len(self._descriptors)} segments arrived that no frame announced")
                if not RECEIVE_FLAGS:
                    for number in numbers:
                        os.set_inheritable(number, False)
        if flags & TRUNCATED:
            raise FrameError(
                "Shared memory segments were lost on arrival: this process may open no more files. "
                "Raise the limit (ulimit -n) of ComfyUI."
            )
        return received


def _poller(sock: socket.socket) -> Callable[[float | None], bool]:
    """A function that tells whether the socket has something to read within so many seconds (None: waits for ever)."""
    if not hasattr(select, "poll"):
        return lambda timeout_s: bool(select.select([sock], [], [], timeout_s)[0])
    poll = select.poll()  # select() knows 1024 files only
    poll.register(sock, select.POLLIN)
    ask = poll.poll
    return lambda timeout_s: bool(ask(None if timeout_s is None else timeout_s * 1000))


def _give_way() -> None:
    """Let another process have the core, if one wants it."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()
