"""One call, seen from the side that asked and from the side that answers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from comfy_env_core.wire.codec import Payload
from comfy_env_core.wire.errors import CallTimeout, WireError
from comfy_env_core.wire.failures import rebuild_error

if TYPE_CHECKING:
    from comfy_env_core.wire.connection import Connection

log = logging.getLogger("comfy-env.wire")


class PendingCall:
    """A call on its way. Any thread may wait for it; the answer is decoded by the first that asks for it."""

    def __init__(self, connection: Connection, call_id: int, method: str, timeout_s: float | None) -> None:
        self.id = call_id
        self.method = method
        self._connection = connection
        self._timeout_s = timeout_s
        self._open = threading.Lock()  # held until the answer is here: cheaper than an Event
        self._open.acquire()
        self._decoding = threading.Lock()
        self._payload: Payload | None = None
        self._failed = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[PendingCall], None]] = []

    def done(self) -> bool:
        """Whether the answer, or the news that there will be none, is here."""
        return not self._open.locked()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the answer; whether it is here."""
        if timeout_s is None:
            arrived = self._open.acquire()
        else:
            arrived = self._open.acquire(timeout=max(timeout_s, 0))
        if arrived:
            self._open.release()
        return arrived

    def result(self, timeout_s: float | None = None) -> Any:
        """The value the peer answered with; raises what its code raised, rebuilt, or why there is no answer.

        Waits `timeout_s` (the call's own by default, else for ever), then raises CallTimeout. The call goes
        on; `cancel` it if it should not.
        """
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        started = time.monotonic()
        if not self.wait(limit_s):
            raise CallTimeout(
                f"{self._connection.name} did not answer {self.method!r} within {time.monotonic() - started:.1f} s"
            )
        error = self.exception()
        if error is not None:
            raise error
        return self._value

    def exception(self) -> BaseException | None:
        """The exception of a call that is done, None if it has a value. Waits if it is not done."""
        self.wait()
        with self._decoding:
            if self._payload is not None:
                payload, self._payload = self._payload, None
                self._decode(payload)
        return self._error

    def cancel(self) -> None:
        """Ask the peer to give up. The call stays open until it answers."""
        if not self.done():
            self._connection.send_cancel(self.id)

    def add_done_callback(self, callback: Callable[[PendingCall], None]) -> None:
        """Have `callback(call)` called once when the answer is here, on the reading thread (or now, if it is).

        It must return at once and not decode the answer there; it may wake an event loop or a thread.
        """
        with self._decoding:
            if not self.done():
                self._callbacks.append(callback)
                return
        callback(self)

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
        with self._decoding:
            callbacks, self._callbacks = self._callbacks, []
            self._open.release()
        for callback in callbacks:
            try:
                callback(self)
            except Exception:  # foreign code on the reading thread, which must go on
                log.exception("A callback of the call %r failed", self.method)

    def __repr__(self) -> str:
        state = "done" if self.done() else "open"
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

    `cancelled` is set when the peer no longer wants the answer; `on_cancel` is called then, on the reading
    thread.
    """

    def __init__(self, connection: Connection, call_id: int, method: str, payload: Payload) -> None:
        self.id = call_id
        self.method = method
        self.connection = connection
        self.cancelled = Cancellation()
        self.on_cancel: Callable[[], None] = _nothing
        self._payload = payload

    @property
    def wants_reply(self) -> bool:
        """False for notifications: `reply` and `fail` do nothing then."""
        return self.id != 0

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
