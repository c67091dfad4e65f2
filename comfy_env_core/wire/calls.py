"""One call, seen from the side that asked and from the side that answers."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from comfy_env_core.wire.decoding import Payload
from comfy_env_core.wire.errors import CallTimeout, WireError
from comfy_env_core.wire.failures import rebuild_error

if TYPE_CHECKING:
    from comfy_env_core.wire.connection import Connection

log = logging.getLogger("comfy-env.wire")

#: How long a call made on behalf of one that nobody waits for is kept, in case the thread that made that one is about
#: to wait, or looks at something else in between.
PATIENCE_S = 0.1

#: The call that the running code answers. Calls it makes are performed by the thread that waits for the answer.
answering: contextvars.ContextVar[IncomingCall | None] = contextvars.ContextVar("answering", default=None)


class PendingCall:
    """A call on its way. Any thread may wait for it; the answer is decoded by the first that asks for it.

    While a thread waits, it performs the calls that the peer makes on behalf of this one. With `is_attended` one is
    going to wait, and says by `leave` when it no longer does. `on_done(call)` is called once when the answer is here,
    on the thread that reads it, and must return at once.
    """

    def __init__(
        self,
        connection: Connection,
        call_id: int,
        method: str,
        timeout_s: float | None,
        on_done: Callable[[PendingCall], None] | None = None,
        *,
        is_attended: bool = False,
    ) -> None:
        self.id = call_id
        self.method = method
        self.is_watched = False  # whether something other than a waiting thread expects the answer
        self._connection = connection
        self._timeout_s = timeout_s
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._waiting = 1 if is_attended else 0
        self._is_done = False
        self._lock = threading.Lock()
        self._payload: Payload | None = None
        self._failed = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[PendingCall], None]] = [] if on_done is None else [on_done]

    def done(self) -> bool:
        """Whether the answer, or the news that there will be none, is here."""
        return self._is_done

    @property
    def has_failed(self) -> bool:
        """Whether it is done and has no value. Decodes nothing."""
        return self._is_done and (self._failed or self._error is not None)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the answer; whether it is here."""
        if self._is_done:
            return True
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._enter()
        try:
            while not self._is_done:
                left_s = None if deadline is None else max(deadline - time.monotonic(), 0.0)
                item = self._connection.take(self._inbox, left_s)
                if type(item) is IncomingCall:
                    self._connection.perform(item)
        except queue.Empty:
            return self._is_done
        finally:
            self.leave()
        return True

    def result(self, timeout_s: float | None = None) -> Any:
        """The value the peer answered with; raises what its code raised, rebuilt, or why there is no answer.

        Raises CallTimeout if there is none within `timeout_s`; the call goes on. Without it the call's own deadline
        counts (`timeout_s` of Connection.call): when it passes, the call is cancelled.
        """
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        if not self.wait(limit_s):
            if timeout_s is None:
                self.cancel()
            raise CallTimeout(f"{self._connection.name} did not answer {self.method!r} within {limit_s:g} s")
        error = self.exception()
        if error is not None:
            raise error
        return self._value

    def exception(self) -> BaseException | None:
        """The exception of a call that is done, None if it has a value. Waits if it is not done."""
        self.wait()
        with self._lock:
            if self._payload is not None:
                payload, self._payload = self._payload, None
                self._decode(payload)
        return self._error

    @contextlib.contextmanager
    def attended(self) -> Iterator[None]:
        """For a thread that waits in a loop and looks at something else in between: inside the block, a call made on
        behalf of this one stays until the thread waits again, however long that takes."""
        self._enter()
        try:
            yield
        finally:
            self.leave()

    def cancel(self) -> None:
        """Ask the peer to give up. The call stays open until it answers."""
        if not self._is_done:
            self._connection.send_cancel(self.id)

    def add_done_callback(self, callback: Callable[[PendingCall], None]) -> None:
        """Have `callback(call)` called once when the answer is here, on the thread that reads it (or now, if it is).

        It must return at once and not decode the answer there; it may wake an event loop or a thread.
        """
        with self._lock:
            is_late = self._is_done
            if not is_late:
                self._callbacks.append(callback)
                self.is_watched = True
        if is_late:
            callback(self)
        else:
            self._connection.attend()

    def hand_over(self, call: IncomingCall) -> bool:
        """Have the waiting thread perform a call made on behalf of this one; False if none is going to wait."""
        with self._lock:
            if self.is_watched and not self._waiting:
                return False
            self._inbox.put(call)
            if self._waiting:
                return True
        timer = threading.Timer(PATIENCE_S, self._dispatch_left)
        timer.daemon = True
        timer.start()
        return True

    def complete(self, payload: Payload, *, failed: bool) -> None:
        """The answer arrived."""
        self._payload = payload
        self._failed = failed
        self._finish()

    def fail(self, error: BaseException) -> None:
        """There will be no answer."""
        self._error = error
        self._finish()

    def _decode(self, payload: Payload) -> None:
        try:
            value = payload.decode()
            if self._failed:
                self._error = rebuild_error(value)
            else:
                self._value = value
        except WireError as error:
            self._error = error

    def _finish(self) -> None:
        with self._lock:
            callbacks, self._callbacks = self._callbacks, []
            self._is_done = True
        self._inbox.put(None)
        for callback in callbacks:
            try:
                callback(self)
            except Exception:  # foreign code on the reading thread, which must go on
                log.exception("A callback of the call %r failed", self.method)

    def _enter(self) -> None:
        with self._lock:
            self._waiting += 1

    def leave(self) -> None:
        """A thread waits no longer. The next one learns of the answer, or what none performs goes the usual way."""
        with self._lock:
            self._waiting -= 1
            if self._waiting and self._is_done:
                self._inbox.put(None)
        self._dispatch_left()

    def _dispatch_left(self) -> None:
        with self._lock:
            left = []
            while not self._waiting and not self._inbox.empty():
                left.append(self._inbox.get_nowait())
        for item in left:
            if type(item) is IncomingCall:
                self._connection.dispatch(item)

    def __repr__(self) -> str:
        state = "done" if self._is_done else "open"
        return f"<PendingCall {self.id} {self.method!r} to {self._connection.name}: {state}>"


class Cancellation:
    """As threading.Event, which it makes only when somebody waits: making one takes longer than a whole decode."""

    __slots__ = ("_event", "_is_set")

    def __init__(self) -> None:
        self._is_set = False
        self._event: threading.Event | None = None

    def is_set(self) -> bool:
        """Whether the caller gave up."""
        return self._is_set

    def set(self) -> None:
        """The caller gave up."""
        self._is_set = True
        if self._event is not None:
            self._event.set()

    def clear(self) -> None:
        """Take it back."""
        self._is_set = False
        if self._event is not None:
            self._event.clear()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the caller gives up; whether it did."""
        if self._event is None:
            self._event = threading.Event()
        return self._is_set or self._event.wait(timeout_s)


class IncomingCall:
    """A call of the peer. Whoever takes it answers once: `reply` or `fail`.

    `parent` is the id of our own call on whose behalf it is made, 0 if there is none. `cancelled` is set when the peer
    no longer wants the answer; `on_cancel` is called then, on the reading thread. `outer` is the call, perhaps
    of another peer, that the thread which performs this one was answering at the time.
    """

    def __init__(
        self, connection: Connection, call_id: int, method: str, parent: int, payload: Payload
    ) -> None:
        self.id = call_id
        self.method = method
        self.parent = parent
        self.connection = connection
        self.outer: IncomingCall | None = None
        self.cancelled = Cancellation()
        self.on_cancel: Callable[[], None] = _nothing
        self._payload = payload

    @property
    def wants_reply(self) -> bool:
        """False for notifications: `reply` and `fail` do nothing then."""
        return self.id != 0

    def cancel(self) -> None:
        """The caller gave up (called on the reading thread)."""
        self.cancelled.set()
        try:
            self.on_cancel()
        except Exception:  # foreign code on the reading thread, which must go on
            log.exception("Cancelling the call %r of %s failed", self.method, self.connection.name)

    def args(self) -> list[Any]:
        """The arguments, decoded now. Once only. Raises DecodeError."""
        arguments = self._payload.decode()
        return arguments if isinstance(arguments, list) else [arguments]

    def reply(self, value: Any) -> None:
        """Answer. If the value cannot be sent, the caller gets that error as the answer."""
        if not self.wants_reply:
            return
        try:
            self.connection.send_reply(self.id, value)
        except WireError as error:
            self.connection.send_failure(self.id, error)

    def fail(self, error: BaseException) -> None:
        """Answer with an exception."""
        if self.wants_reply:
            self.connection.send_failure(self.id, error)
        else:
            log.error("The notification %r of %s failed: %r", self.method, self.connection.name, error)

    def __repr__(self) -> str:
        return f"<IncomingCall {self.id} {self.method!r} of {self.connection.name}>"


def _nothing() -> None:
    pass
