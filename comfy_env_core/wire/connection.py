"""Calls in both directions over one channel."""

from __future__ import annotations

import itertools
import logging
import os
import queue
import struct
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgpack  # type: ignore[import-untyped]

from comfy_env_core.wire.attachments import Exchange
from comfy_env_core.wire.calls import IncomingCall, PendingCall, answering
from comfy_env_core.wire.encoding import Encoded
from comfy_env_core.wire.errors import DecodeError, FrameError, PeerGone, WireError
from comfy_env_core.wire.failures import describe_error
from comfy_env_core.wire.forks import weak_callback
from comfy_env_core.wire.frames import Channel, Frame
from comfy_env_core.wire.messages import Fingerprint, MessageCodec
from comfy_env_core.wire.objects.codecs import Codecs
from comfy_env_core.wire.objects.handles import BorrowedObjects, LentObjects, Released
from comfy_env_core.wire.objects.operations import perform
from comfy_env_core.wire.objects.releases import Releases
from comfy_env_core.wire.protocol import CALL_HEADER, FrameKind
from comfy_env_core.wire.reading import Reading
from comfy_env_core.wire.segments import SegmentMemory
from comfy_env_core.wire.segments.system import system
from comfy_env_core.wire.values import classes
from comfy_env_core.wire.values.cuda import CudaSharing

if TYPE_CHECKING:
    from comfy_env_core.wire.objects.allowed import AllowList

log = logging.getLogger("comfy-env.wire")

Dispatcher = Callable[[IncomingCall], None]

# Methods that every side answers by itself. The first at once, the others wherever its code runs: they may take time.
KNOWS = "wire.knows"
USE = "wire.use"
PACK = "wire.pack"
OWN_METHODS = frozenset({KNOWS, USE, PACK})


class Connection:
    """Symmetric: either side calls the other at any time, many calls at once.

    Owns the channel. `dispatcher(call)` is given every incoming call, by whichever thread reads, and must return at
    once; `performer(call)` answers one on the thread it is called on. If there is one, a call that the peer makes on
    behalf of a call of ours is given to it by the thread that waits for that one. Both hand what `is_own` to `answer`.

    `lost` is called once when the peer goes; the exception it returns fails every pending call (PeerGone without it).
    `name` is the peer's in messages, for example "worker mesh-pack", and `here` this side's. `hide` is the path prefix
    of frames to leave out of reported tracebacks. `memory` has this process's segments; `codecs` and `allowed` are for
    objects of third processes, see parcels.py.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        dispatcher: Dispatcher,
        name: str,
        here: str = "this process",
        performer: Dispatcher | None = None,
        lost: Callable[[PeerGone], BaseException] | None = None,
        hide: str = "",
        memory: SegmentMemory | None = None,
        codecs: Codecs | None = None,
        allowed: Callable[[], AllowList] | None = None,
    ) -> None:
        self.name = name
        self.lent = LentObjects()
        self.borrowed = BorrowedObjects(name)
        self.borrowed.use = self._use
        self.borrowed.fetch = self._fetch
        self.memory = SegmentMemory() if memory is None else memory
        self._has_own_memory = memory is None
        self.codecs = Codecs() if codecs is None else codecs
        passes_segments = channel.passes_descriptors or system.NAMED
        cuda = CudaSharing.of_environment(name)
        exchange = Exchange(self.lent, self.borrowed, self.memory, passes_segments, cuda)
        self._codec = MessageCodec(
            exchange, knows=self._peer_knows, here=here, codecs=self.codecs, allowed=allowed
        )
        self._channel = channel
        self._dispatcher = dispatcher
        self._performer = performer
        self._lost = lost
        self._hide = hide
        self._known: set[Fingerprint] = set()
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._pending: dict[int, PendingCall] = {}
        self._incoming: dict[int, IncomingCall] = {}
        self._end: BaseException | None = None
        self._releases = Releases(self.borrowed, self._send_released)
        self._reading = Reading(f"comfy-env read {name}", self._read, self._is_watched)

    def start(self) -> None:
        """Begin to read. Calls may be made before, they are answered from now on."""
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=weak_callback(self._detach_in_fork))
        self._reading.start()

    def call(
        self,
        method: str,
        args: Sequence[Any] = (),
        *,
        timeout_s: float | None = None,
        on_done: Callable[[PendingCall], None] | None = None,
        is_attended: bool = False,
    ) -> PendingCall:
        """Send a call. With `timeout_s`, `PendingCall.result` waits so long and cancels it then. For `on_done` and
        `is_attended` see PendingCall.

        Raises EncodeError, DeadHandle or ForeignHandle if the arguments cannot be sent. A dead peer is reported by the
        returned call, not here.
        """
        encoded = self._codec.encode(list(args))
        self._releases.flush()
        call = PendingCall(self, next(self._ids), method, timeout_s, on_done, is_attended=is_attended)
        with self._lock:
            end = self._end
            if end is None:
                self._pending[call.id] = call
        if end is not None:
            encoded.abandon()
            call.fail(end)
            return call
        self._send(FrameKind.CALL, call.id, encoded, head=_call_header(method, self._parent()))
        return call

    def notify(self, method: str, args: Sequence[Any] = ()) -> None:
        """Send a message nobody answers; it is lost silently if the peer is gone."""
        if self._end is None:
            self._send(FrameKind.NOTIFY, 0, self._codec.encode(list(args)), head=_call_header(method, 0))

    def take(self, inbox: queue.SimpleQueue[Any], timeout_s: float | None = None) -> Any:
        """The next item of a queue that the dispatcher fills; meanwhile this thread may read. See Reading.take."""
        return self._reading.take(inbox, timeout_s)

    def attend(self) -> None:
        """Something is expected that no thread waits for."""
        self._reading.attend()

    def close(self) -> None:
        """Hang up. Pending calls fail with PeerGone; what reads ends on its own."""
        self._channel.shut_down()
        if self._reading.is_started:
            self._reading.attend()
        else:
            self._finish(PeerGone(f"The connection to {self.name} was closed"))

    @property
    def is_open(self) -> bool:
        """Whether calls can still be made."""
        return self._end is None

    def join(self, timeout_s: float | None = None) -> None:
        """Wait until nothing is read any more."""
        self._reading.join(timeout_s)

    def _detach_in_fork(self) -> None:
        """In a process forked from this one: let go of the peer, which belongs to the parent.

        Other threads of the parent may have held the locks at the fork, so they are made anew. Calls fail at
        once from now on; the parent's conversation is not disturbed.
        """
        self._lock = threading.Lock()
        self._pending = {}
        self._end = PeerGone(f"This process was forked from the one that speaks to {self.name}")
        self.borrowed.end = str(self._end)
        self._channel.detach_in_fork()

    # -- answering -----------------------------------------------------------------------------------------

    def dispatch(self, call: IncomingCall) -> None:
        """Have an incoming call answered somewhere."""
        self._dispatcher(call)

    def perform(self, call: IncomingCall) -> None:
        """Answer an incoming call on this thread; the calls this takes are made on its behalf."""
        if self._performer is None:
            self._dispatcher(call)
            return
        call.outer = answering.get()
        token = answering.set(call)
        try:
            self._performer(call)
        finally:
            answering.reset(token)

    def is_own(self, call: IncomingCall) -> bool:
        """Whether `answer` can answer it: something is done with an object that was lent."""
        return call.method in OWN_METHODS

    def answer(self, call: IncomingCall) -> Any:
        """The answer to an own call. Raises what the object raises."""
        arguments = call.args()
        if call.method == USE:
            key, operation, *rest = arguments
            return perform(self.lent.look_up(key), operation, rest)
        if call.method == PACK:
            # Late: few objects ever go to another environment.
            from comfy_env_core.wire.objects.parcels import make_parcel  # noqa: PLC0415

            return make_parcel(arguments[0], self.codecs)
        raise LookupError(f"There is no method {call.method!r}")

    def _use(self, handle: Any, operation: str, *arguments: Any) -> Any:
        # By its key: the message is a plain one then, which costs less. Whoever asks holds the handle meanwhile.
        return self._ask_owner(USE, [handle._key, operation, *arguments])

    def _fetch(self, handle: Any) -> Any:
        return self._ask_owner(PACK, [handle])

    def _ask_owner(self, method: str, arguments: list[Any]) -> Any:
        call = self.call(method, arguments, is_attended=True)
        try:
            return call.result()
        except Exception as error:
            if error is not self._end or isinstance(error, PeerGone):
                raise
            # What a supervisor says in its place is about calls; an object is dead.
            raise PeerGone(f"{self.name} ended") from error
        finally:
            call.leave()

    def _parent(self) -> int:
        """The peer's call on whose behalf the running code calls: also when another peer was asked in between."""
        call = answering.get()
        while call is not None and call.connection is not self:
            call = call.outer
        return 0 if call is None else call.id

    def _peer_knows(self, fingerprint: Fingerprint) -> bool:
        if fingerprint in self._known:
            return True
        if not self._reading.is_started or self._reading.is_on_this_thread():
            return False  # the answer could not be waited for
        is_known = bool(self.call(KNOWS, list(fingerprint)).result())
        if is_known:
            self._known.add(fingerprint)
        return is_known

    # -- used by PendingCall and IncomingCall --------------------------------------------------------------

    def send_cancel(self, call_id: int) -> None:
        """Tell the peer that the answer is no longer wanted."""
        self._send_plain(FrameKind.CANCEL, call_id, b"")

    def send_reply(self, call_id: int, value: Any) -> None:
        """Answer a call. Raises EncodeError if the value cannot be sent; the call is then still open."""
        encoded = self._codec.encode(value)
        self._incoming.pop(call_id, None)
        self._releases.flush()
        self._send(FrameKind.REPLY, call_id, encoded)

    def send_failure(self, call_id: int, error: BaseException) -> None:
        """Answer a call with an exception."""
        self._incoming.pop(call_id, None)
        self._send(FrameKind.FAIL, call_id, self._codec.encode(describe_error(error, hide=self._hide)))

    # -- sending -------------------------------------------------------------------------------------------

    def _send(self, kind: FrameKind, call_id: int, encoded: Encoded, *, head: bytes = b"") -> None:
        self._send_plain(kind, call_id, head + encoded.body, encoded.descriptors)
        self.memory.settle()

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
            # Whoever reads sees the end of the stream and fails the calls; twice would be once too often.
            log.debug("Sending to %s failed: %s", self.name, error)

    def _send_released(self, released: list[Released]) -> None:
        if self._end is None:
            self._send_plain(FrameKind.RELEASE, 0, msgpack.packb(released))

    # -- reading -------------------------------------------------------------------------------------------

    def _is_watched(self) -> bool:
        return bool(self._pending) and any(call.is_watched for call in list(self._pending.values()))

    def _read(self, timeout_s: float | None, is_urgent: bool) -> bool | None:
        """One frame, for Reading."""
        if self._end is not None:
            return False
        reason = f"{self.name} closed the connection"
        try:
            if not self._channel.wait(timeout_s, is_urgent=is_urgent):
                return None
            frame = self._channel.receive()
            if frame is not None:
                self._handle(frame)
                return True
        except FrameError as error:
            reason = f"the connection to {self.name} is damaged: {error}"
            log.error("Hanging up: %s", reason)
        except OSError as error:
            reason = f"the connection to {self.name} broke: {error}"
        except Exception as error:  # out of memory, say: nobody may wait for what nobody reads
            reason = f"reading from {self.name} failed: {type(error).__name__}: {error}"
            log.exception("Hanging up: %s", reason)
        self._finish(PeerGone(reason[0].upper() + reason[1:]))
        return False

    def _handle(self, frame: Frame) -> None:
        try:
            self._handle_by_kind(frame)
        except Exception as error:  # reading must go on, whatever a dispatcher does
            if not isinstance(error, WireError):
                log.exception("A message of %s could not be handled", self.name)
            if frame.kind == FrameKind.CALL:
                self.send_failure(frame.call_id, error)
            elif isinstance(error, FrameError):
                raise
            else:
                log.error("A message of %s cannot be used: %s", self.name, error)
        finally:
            frame.close()

    def _handle_by_kind(self, frame: Frame) -> None:
        if frame.kind in (FrameKind.CALL, FrameKind.NOTIFY):
            self._accept_call(frame)
        elif frame.kind in (FrameKind.REPLY, FrameKind.FAIL):
            self._accept_answer(frame)
        elif frame.kind == FrameKind.CANCEL:
            incoming = self._incoming.get(frame.call_id)
            if incoming is not None:
                incoming.cancel()
        elif frame.kind == FrameKind.RELEASE:
            self.lent.take_back(msgpack.unpackb(frame.body))
        else:
            raise FrameError(f"Unknown kind of frame {frame.kind} from {self.name}")

    def _accept_call(self, frame: Frame) -> None:
        method, parent, start = _read_call_header(frame)
        payload = self._codec.receive(frame.body, start, frame.descriptors)
        call = IncomingCall(self, frame.call_id, method, parent, payload)
        if method == KNOWS:
            call.reply(classes.is_known(*call.args()))
            return
        if frame.kind == FrameKind.CALL:
            self._incoming[frame.call_id] = call
        ours = self._pending.get(parent) if parent and self._performer is not None else None
        if ours is None or not ours.hand_over(call):
            self._dispatcher(call)

    def _accept_answer(self, frame: Frame) -> None:
        with self._lock:
            call = self._pending.pop(frame.call_id, None)
        try:
            payload = self._codec.receive(frame.body, 0, frame.descriptors)
        except WireError as error:
            if call is None:
                raise
            call.fail(error)
            return
        if call is not None:
            call.complete(payload, failed=frame.kind == FrameKind.FAIL)

    def _finish(self, gone: PeerGone) -> None:
        """The peer is gone: everything that waits for it is told why."""
        error = self._reason(gone)
        with self._lock:
            self._end = error
            pending = list(self._pending.values())
            self._pending.clear()
        self.borrowed.close(str(gone))
        self._releases.end()
        self._channel.close()
        for call in pending:
            call.fail(error)
        for incoming in list(self._incoming.values()):
            incoming.cancel()
        self.lent.clear()
        if self._has_own_memory:
            self.memory.close()

    def _reason(self, gone: PeerGone) -> BaseException:
        if self._lost is None:
            return gone
        try:
            return self._lost(gone)
        except Exception:  # whoever supervises the peer; the calls must fail all the same
            log.exception("Finding out why %s is gone failed", self.name)
            return gone


def _call_header(method: str, parent: int) -> bytes:
    name = method.encode("ascii")
    return CALL_HEADER.pack(parent, len(name)) + name


def _read_call_header(frame: Frame) -> tuple[str, int, int]:
    """(method, parent, where the message begins). Raises DecodeError."""
    try:
        parent, length = CALL_HEADER.unpack_from(frame.body)
        start = CALL_HEADER.size + length
        name = bytes(frame.body[CALL_HEADER.size : start])
        if len(name) == length:
            return name.decode("ascii"), parent, start
    except (struct.error, UnicodeDecodeError):
        pass
    raise DecodeError(f"A call without a readable name, in a frame of {len(frame.body)} bytes")
