"""A call that a worker has not answered yet."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from comfy_env_core.supervision.errors import WorkerStopped
from comfy_env_core.wire import Connection, PendingCall

if TYPE_CHECKING:
    from comfy_env_core.supervision.worker import Worker


class WorkerCall:
    """An open call of a worker. Waiting and results as `wire.PendingCall`; cancel has teeth."""

    def __init__(self, worker: Worker, connection: Connection, method: str, args: Sequence[Any]) -> None:
        self._worker = worker
        self._timers: list[threading.Timer] = []
        self._is_cancelled = False
        self._pending = connection.call(method, args, on_done=self._settle)

    @property
    def method(self) -> str:
        """What was called."""
        return self._pending.method

    def done(self) -> bool:
        """Whether the answer, or the news that there will be none, is here."""
        return self._pending.done()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the answer; whether it is here."""
        return self._pending.wait(timeout_s)

    def attended(self) -> contextlib.AbstractContextManager[None]:
        """For a thread that waits in a loop and looks at something else in between: it alone does what the node asks of
        ComfyUI's objects."""
        return self._pending.attended()

    def result(self, timeout_s: float | None = None) -> Any:
        """The value; raises the node's own exception rebuilt, or WorkerCrashed, WorkerStopped, WorkerTimedOut.

        With `timeout_s`, raises CallTimeout when there is no answer yet; the call goes on.
        """
        return self._pending.result(timeout_s)

    def exception(self) -> BaseException | None:
        """The exception instead of raising it; waits."""
        return self._pending.exception()

    def add_done_callback(self, callback: Callable[[WorkerCall], None]) -> None:
        """Have `callback(call)` called when it is done, on the reading thread; it must return at once."""
        self._pending.add_done_callback(lambda _: callback(self))

    def cancel(self, kill_after_s: float = 10.0) -> None:
        """Interrupt the node. If the call is still open after `kill_after_s`, the worker is stopped."""
        if self.done():
            return
        self._is_cancelled = True
        spec = self._worker.spec
        reason = (
            f"A node of {spec.pack_name!r} did not react to cancel within {kill_after_s:g} s "
            "(COMFY_ENV_INTERRUPT_KILL_S), so its worker process was stopped. What the pack's nodes kept in memory, "
            f"such as loaded models, is lost; the next run starts the process again. Log: {spec.log_path}"
        )
        # The timer first: sending waits if the worker reads nothing, and that is when it is needed.
        self.stop_worker_after(kill_after_s, WorkerStopped(reason))
        self._pending.cancel()

    def stop_worker_after(self, delay_s: float, error: WorkerStopped) -> None:
        """If the call is still open then, stop the worker and fail its open calls with `error`."""

        def expire() -> None:
            if not self.done():
                self._worker.end_for(error)

        timer = threading.Timer(delay_s, expire)
        timer.daemon = True
        timer.name = f"comfy-env deadline {self._worker.spec.pack_name}"
        self._timers.append(timer)
        timer.start()
        if self.done():
            timer.cancel()

    def _settle(self, pending: PendingCall) -> None:
        for timer in self._timers:
            timer.cancel()
        self._worker.call_ended(has_failed=pending.has_failed and not self._is_cancelled)
