"""Calls in both directions over one channel."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from comfy_env_core.wire.calls import IncomingCall, PendingCall
from comfy_env_core.wire.codec import Encoded, Payload, encode
from comfy_env_core.wire.errors import FrameError, PeerGone, WireError
from comfy_env_core.wire.failures import describe_error
from comfy_env_core.wire.frames import Channel, Frame
from comfy_env_core.wire.handles import BorrowedObjects, LentObjects
from comfy_env_core.wire.protocol import FrameKind
from comfy_env_core.wire.releases import Releases

log = logging.getLogger("comfy-env.wire")

Dispatcher = Callable[[IncomingCall], None]


class Connection:
    """Symmetric: either side calls the other at any time, many calls at once.

    Owns the channel and one thread that reads it. `dispatcher` is called on that thread for every incoming
    call and must return at once. `lost` is called on it when the peer goes; the exception it returns fails
    every pending call (PeerGone if it is not given). `hide` is the path prefix of frames to leave out of
    reported tracebacks. `name` is this peer's name in messages, for example "worker mesh-pack".
    """

    def __init__(
        self,
        channel: Channel,
        *,
        dispatcher: Dispatcher,
        name: str,
        lost: Callable[[PeerGone], BaseException] | None = None,
        hide: str = "",
    ) -> None:
        self.name = name
        self.lent = LentObjects()
        self.borrowed = BorrowedObjects(name)
        self._channel = channel
        self._dispatcher = dispatcher
        self._lost = lost
        self._hide = hide
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._pending: dict[int, PendingCall] = {}
        self._incoming: dict[int, IncomingCall] = {}
        self._end: BaseException | None = None
        self._releases = Releases(self.borrowed, self._send_released)
        self._reader = threading.Thread(target=self._read, name=f"comfy-env read {name}", daemon=True)

    def start(self) -> None:
        """Begin to read. Calls may be made before, they are answered from now on."""
        self._reader.start()

    def call(self, method: str, args: Sequence[Any] = (), *, timeout_s: float | None = None) -> PendingCall:
        """Send a call. `timeout_s` is how long `PendingCall.result` waits by default.

        Raises EncodeError, DeadHandle or ForeignHandle if the arguments cannot be sent. A dead peer is
        reported by the returned call, not here.
        """
        self._releases.flush()
        encoded = self._encode(list(args))
        call = PendingCall(self, next(self._ids), method, timeout_s)
        with self._lock:
            end = self._end
            if end is None:
                self._pending[call.id] = call
        if end is not None:
            encoded.segments.close()
            call.fail(end)
            return call
        self._send(FrameKind.CALL, call.id, encoded, prefix=_method_prefix(method))
        return call

    def notify(self, method: str, args: Sequence[Any] = ()) -> None:
        """Send a message nobody answers; it is lost silently if the peer is gone."""
        if self._end is None:
            self._send(FrameKind.NOTIFY, 0, self._encode(list(args)), prefix=_method_prefix(method))

    def close(self) -> None:
        """Hang up. Pending calls fail with PeerGone; the reading thread ends on its own."""
        self._channel.shut_down()
        if not self._reader.is_alive() and self._reader.ident is None:
            self._finish(PeerGone(f"The connection to {self.name} was closed"))

    @property
    def is_open(self) -> bool:
        """Whether calls can still be made."""
        return self._end is None

    def join(self, timeout_s: float | None = None) -> None:
        """Wait until the reading thread has ended."""
        if self._reader.ident is not None and self._reader is not threading.current_thread():
            self._reader.join(timeout_s)

    def detach_in_fork(self) -> None:
        """In a process forked from this one: let go of the peer, which belongs to the parent.

        Other threads of the parent may have held the locks at the fork, so they are made anew. Calls fail at
        once from now on; the parent's conversation is not disturbed.
        """
        self._lock = threading.Lock()
        self._pending = {}
        self._end = PeerGone(f"This process was forked from the one that speaks to {self.name}")
        self._channel.detach_in_fork()

    # -- used by PendingCall and IncomingCall --------------------------------------------------------------

    def send_cancel(self, call_id: int) -> None:
        """Tell the peer that the answer is no longer wanted."""
        self._send_plain(FrameKind.CANCEL, call_id, b"")

    def send_reply(self, call_id: int, value: Any) -> None:
        """Answer a call. Raises EncodeError if the value cannot be sent; the call is then still open."""
        encoded = self._encode(value)
        self._forget_incoming(call_id)
        self._send(FrameKind.REPLY, call_id, encoded)

    def send_failure(self, call_id: int, error: BaseException) -> None:
        """Answer a call with an exception."""
        self._forget_incoming(call_id)
        self._send(FrameKind.FAIL, call_id, self._encode(describe_error(error, hide=self._hide)))

    # -- sending -------------------------------------------------------------------------------------------

    def _encode(self, value: Any) -> Encoded:
        return encode(value, self.lent, self.borrowed, with_segments=self._channel.passes_descriptors)

    def _send(self, kind: FrameKind, call_id: int, encoded: Encoded, *, prefix: bytes = b"") -> None:
        try:
            self._send_plain(kind, call_id, prefix + encoded.body, encoded.segments.descriptors)
        finally:
            encoded.segments.close()

    def _send_plain(
        self, kind: FrameKind, call_id: int, body: bytes, descriptors: Sequence[int] = ()
    ) -> None:
        try:
            self._channel.send(kind, call_id, body, descriptors)
        except FrameError:
            with self._lock:
                self._pending.pop(call_id, None)
            raise
        except OSError as error:
            # The reading thread sees the end of the stream and fails the calls; twice would be once too often.
            log.debug("Sending to %s failed: %s", self.name, error)

    def _send_released(self, released: list[list[int]]) -> None:
        if self._end is None:
            self._send(FrameKind.RELEASE, 0, self._encode(released))

    # -- reading -------------------------------------------------------------------------------------------

    def _read(self) -> None:
        reason = f"{self.name} closed the connection"
        try:
            while True:
                frame = self._channel.receive()
                if frame is None:
                    break
                self._handle(frame)
                del frame
        except FrameError as error:
            reason = f"the connection to {self.name} is damaged: {error}"
            log.error("Hanging up: %s", reason)
        except OSError as error:
            reason = f"the connection to {self.name} broke: {error}"
        self._finish(PeerGone(reason[0].upper() + reason[1:]))

    def _handle(self, frame: Frame) -> None:
        try:
            self._handlers(frame)
        except Exception as error:  # this thread must go on, whatever a dispatcher does
            if not isinstance(error, WireError):
                log.exception("A message of %s could not be handled", self.name)
            if frame.kind == FrameKind.CALL:
                self.send_failure(frame.call_id, error)
            elif isinstance(error, FrameError):
                raise
            else:
                log.error("A message of %s cannot be used: %s", self.name, error)

    def _handlers(self, frame: Frame) -> None:
        if frame.kind in (FrameKind.CALL, FrameKind.NOTIFY):
            self._accept_call(frame)
        elif frame.kind in (FrameKind.REPLY, FrameKind.FAIL):
            self._accept_answer(frame)
        elif frame.kind == FrameKind.CANCEL:
            incoming = self._incoming.get(frame.call_id)
            if incoming is not None:
                incoming.cancelled.set()
                incoming.on_cancel()
        elif frame.kind == FrameKind.RELEASE:
            self.lent.give_back([(key, times) for key, times in self._payload(frame, 0).decode()])
        else:
            raise FrameError(f"Unknown kind of frame {frame.kind} from {self.name}")

    def _payload(self, frame: Frame, start: int) -> Payload:
        return Payload(frame.body, start, frame.descriptors, self.lent, self.borrowed)

    def _accept_call(self, frame: Frame) -> None:
        length = frame.body[0]
        method = bytes(frame.body[1 : 1 + length]).decode("ascii")
        call = IncomingCall(self, frame.call_id, method, self._payload(frame, 1 + length))
        if frame.kind == FrameKind.CALL:
            self._incoming[frame.call_id] = call
        self._dispatcher(call)

    def _accept_answer(self, frame: Frame) -> None:
        with self._lock:
            call = self._pending.pop(frame.call_id, None)
        payload = self._payload(frame, 0)
        if call is None:
            payload.close()
            return
        call.complete(payload, failed=frame.kind == FrameKind.FAIL)

    def _forget_incoming(self, call_id: int) -> None:
        self._incoming.pop(call_id, None)

    def _finish(self, gone: PeerGone) -> None:
        """The peer is gone: everything that waits for it is told why."""
        error = self._reason(gone)
        with self._lock:
            self._end = error
            pending = list(self._pending.values())
            self._pending.clear()
        self.borrowed.close(str(gone))
        self._channel.close()
        for call in pending:
            call.fail(error)
        for incoming in list(self._incoming.values()):
            incoming.cancelled.set()
            incoming.on_cancel()
        self.lent.clear()

    def _reason(self, gone: PeerGone) -> BaseException:
        if self._lost is None:
            return gone
        try:
            return self._lost(gone)
        except Exception:  # whoever supervises the peer; the calls must fail all the same
            log.exception("Finding out why %s is gone failed", self.name)
            return gone


def _method_prefix(method: str) -> bytes:
    name = method.encode("ascii")
    return bytes([len(name)]) + name
