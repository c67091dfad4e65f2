"""One worker process and the calls made to it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from comfy_env_core.environments.states import WORKER_MOVES, WorkerState
from comfy_env_core.processes import stop
from comfy_env_core.supervision.errors import (
    WorkerCrashed,
    WorkerError,
    WorkerNotRunning,
    WorkerStopped,
    WorkerTimedOut,
)
from comfy_env_core.supervision.launch import EXIT_GRACE_S, OUTPUT_GRACE_S, Launched, launch
from comfy_env_core.supervision.open_call import WorkerCall
from comfy_env_core.supervision.services import HostServices, ServiceDesk
from comfy_env_core.supervision.spec import WorkerSpec
from comfy_env_core.supervision.statistics import WorkerStatistics
from comfy_env_core.supervision.transports import Transport, open_transport
from comfy_env_core.wire import Channel, Connection, Handle, PeerGone, SegmentMemory
from comfy_env_core.wire.calls import answering
from comfy_env_core.wire.log_records import LogLine

if TYPE_CHECKING:
    from comfy_env_core.wire.objects.allowed import AllowList

OnOutput = Callable[[WorkerSpec, str], None]
#: Somebody waits for it, and has decided that what the worker does is lost.
REQUEST_GRACE_S = 1.0
#: Called with the worker's site when its process starts, answers for the first time, is being ended, or is gone.
OnChange = Callable[[str], None]


class Worker:
    """One process for one site. `start` it once or again after it ended; all methods are thread-safe.

    `on_output(spec, line)` is called for every line the worker prints, on a thread of the worker's own. `on_change` is
    called on whatever thread the change happens, and must return at once. `memory` is that of all workers, so that an
    array of one is passed to another without a copy.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        services: HostServices,
        on_output: OnOutput | None = None,
        *,
        on_change: OnChange | None = None,
        transport: Callable[[], Transport] = open_transport,
        memory: SegmentMemory | None = None,
    ) -> None:
        self.spec = spec
        self._memory = SegmentMemory() if memory is None else memory
        self._services = services
        self._on_output = on_output
        self._on_change = on_change
        self._open_transport = transport
        self._log = logging.getLogger(f"comfy-env.{spec.pack_name}")
        self._starting = threading.Lock()
        self._lock = threading.Lock()
        self._state = WorkerState.STOPPED
        self._launched: Launched | None = None
        self._connection: Connection | None = None
        self._desk: ServiceDesk | None = None
        self._end_reason: WorkerStopped | None = None
        self._last_end: str | None = None
        self._calls = 0
        self._open_calls = 0
        self._errors = 0
        self._was_used = False
        self._started_at: float | None = None
        self._start_duration_s: float | None = None
        self._last_used_at: float | None = None

    @property
    def state(self) -> WorkerState:
        """Its state now."""
        return self._state

    @property
    def pid(self) -> int | None:
        """The process, None if there is none."""
        launched = self._launched
        return launched.child.pid if launched is not None and self.is_alive else None

    @property
    def is_alive(self) -> bool:
        """Whether it can take calls."""
        return self._state in (WorkerState.IDLE, WorkerState.BUSY)

    @property
    def statistics(self) -> WorkerStatistics:
        """What it did and does."""
        connection = self._connection
        objects = connection.borrowed.count(Handle) if connection is not None and self.is_alive else 0
        with self._lock:
            return WorkerStatistics(
                pid=self.pid,
                state=self._state,
                started_at=self._started_at,
                start_duration_s=self._start_duration_s,
                calls=self._calls,
                open_calls=self._open_calls,
                errors=self._errors,
                last_used_at=self._last_used_at,
                python_version=self._launched.facts.get("python") if self._launched is not None else None,
                was_used=self._was_used,
                objects=objects,
                last_end=self._last_end,
            )

    def start(self, timeout_s: float = 60.0) -> None:
        """Start the process and wait until it answers; nothing to do if it runs. Raises WorkerStartError."""
        with self._starting:
            if self.is_alive:
                return
            self._await_end()
            began = time.monotonic()
            self._move(WorkerState.STARTING)
            self._end_reason = None
            self._was_used = False
            try:
                launched = launch(self.spec, self._open_transport, self._pass_on, timeout_s)
            except BaseException:
                self._move(WorkerState.CRASHED)
                raise
            self._started_at = self._last_used_at = time.monotonic()
            self._start_duration_s = self._started_at - began
            self._connect(launched)

    def call(self, method: str, args: Sequence[Any] = (), *, timeout_s: float | None = None) -> WorkerCall:
        """Call a method of the worker (`describe`, `run`, `forget`, `ping`).

        With `timeout_s`, a call that takes longer ends the worker: its code cannot be stopped otherwise.
        Raises WorkerNotRunning if there is no process, EncodeError if the arguments cannot be sent.
        """
        connection = self._connection
        with self._lock:
            if connection is None or not self.is_alive:
                raise self._not_running()
            self._open_calls += 1
            self._calls += 1
            self._was_used = self._was_used or method != "describe"
            if self._state is WorkerState.IDLE:
                self._state = WORKER_MOVES.move(self._state, WorkerState.BUSY)
        try:
            call = WorkerCall(self, connection, method, args)
        except BaseException:
            self.call_ended(has_failed=True)
            raise
        if timeout_s is not None:
            message = f"{self.spec.pack_name!r} took longer than {timeout_s:g} s for {method!r}"
            tail = f" Its worker process was stopped. Log: {self.spec.log_path}"
            call.stop_worker_after(timeout_s, WorkerTimedOut(f"{message}.{tail}"))
        return call

    def ask(self, method: str, args: Sequence[Any] = (), *, timeout_s: float) -> Any:
        """The answer to a question beside its work: an idle worker stays idle, and its time goes on.

        Raises what the worker raises, WorkerError if it has no process or loses it, CallTimeout.
        """
        connection = self._connection
        if connection is None or not self.is_alive:
            raise self._not_running()
        return connection.call(method, args, timeout_s=timeout_s).result()

    def waits_for_this_thread(self) -> bool:
        """Whether the running code answers something that this worker asked: it does what we ask of it at once then,
        though it is busy."""
        connection, call = self._connection, answering.get()
        while call is not None and call.connection is not connection:
            call = call.outer
        return call is not None

    def notify(self, method: str, args: Sequence[Any] = ()) -> None:
        """Tell the worker something nobody waits for (`forget`); lost if it is not running."""
        connection = self._connection
        if connection is not None and self.is_alive:
            connection.notify(method, args)

    def stop(self, grace_s: float = 5.0) -> None:
        """End the process by the ladder. Open calls fail with WorkerStopped. Nothing to do if it is not running."""
        self.end_for(
            WorkerStopped(f"The worker of {self.spec.pack_name!r} was stopped"), grace_s=grace_s, ask=True
        )

    def stop_on_request(self, reason: str) -> bool:
        """End the process although something may be under way in it; whether there was one to end. Open calls fail with
        `reason`, in words for whoever waits for them."""
        return self.end_for(WorkerStopped(reason), grace_s=REQUEST_GRACE_S, ask=True)

    def stop_if_idle(self, reason: str) -> bool:
        """End the process, for what `reason` says, if nothing is under way in it and none of its objects is held here;
        whether it was ended."""
        error = WorkerStopped(f"The worker of {self.spec.pack_name!r} was stopped: {reason}")
        return self.end_for(error, grace_s=5.0, ask=True, only_if_idle=True)

    def end_for(
        self, error: WorkerStopped, *, grace_s: float = 1.0, ask: bool = False, only_if_idle: bool = False
    ) -> bool:
        """End the process and fail its open calls with `error`; whether there was one to end. Without `ask` it is
        terminated at once."""
        with self._lock:
            launched, connection = self._launched, self._connection
            if launched is None or connection is None or not self.is_alive:
                return False
            is_needed = self._state is not WorkerState.IDLE or connection.borrowed.count(Handle) > 0
            if only_if_idle and is_needed:
                return False
            self._end_reason = error
            self._last_end = str(error)
            self._state = WORKER_MOVES.move(self._state, WorkerState.STOPPING)
        self._tell()
        stop(launched.child, ask=(lambda: _ask_to_leave(connection)) if ask else None, grace_s=grace_s)
        connection.join(EXIT_GRACE_S + OUTPUT_GRACE_S + 1)
        return True

    def call_ended(self, *, has_failed: bool) -> None:
        """A call has its answer (called by WorkerCall). `has_failed`: it raised, though nobody had cancelled it."""
        with self._lock:
            self._open_calls -= 1
            self._errors += has_failed
            self._last_used_at = time.monotonic()
            if self._open_calls == 0 and self._state is WorkerState.BUSY:
                self._state = WORKER_MOVES.move(self._state, WorkerState.IDLE)

    # -- starting and ending -------------------------------------------------------------------------------

    def _connect(self, launched: Launched) -> None:
        self._launched = launched
        self._desk = ServiceDesk(self._services, self.spec)
        self._connection = Connection(
            Channel(launched.sock),
            dispatcher=self._desk.dispatch,
            performer=self._desk.answer,
            here="ComfyUI",
            memory=self._memory,
            allowed=_allow_list,
            name=f"worker {self.spec.pack_name}",
            lost=self._lost,
        )
        self._move(WorkerState.IDLE)
        self._connection.start()

    def _pass_on(self, line: LogLine) -> None:
        if self._log.isEnabledFor(line.level):
            name = f"{self._log.name}.{line.logger}" if line.logger else self._log.name
            facts = {"name": name, "msg": line.text, "levelno": line.level}
            self._log.handle(logging.makeLogRecord({**facts, "levelname": logging.getLevelName(line.level)}))
        if self._on_output is not None:
            self._on_output(self.spec, line.text)

    def _lost(self, gone: PeerGone) -> BaseException:
        """The connection ended (reading thread): find out why, so that open calls can say it."""
        launched = self._launched
        assert launched is not None
        code = launched.child.wait(EXIT_GRACE_S)
        if code is None:
            launched.child.kill_tree()  # alive without a connection it is of no use
            code = launched.child.wait(EXIT_GRACE_S)
        tail = launched.output.tail(OUTPUT_GRACE_S)
        if self._desk is not None:
            self._desk.close()
        crash = WorkerCrashed(self.spec.pack_name, code, tail, self.spec.log_path)
        with self._lock:
            expected = self._end_reason
            target = WorkerState.STOPPED if self._state is WorkerState.STOPPING else WorkerState.CRASHED
            self._state = WORKER_MOVES.move(self._state, target)
            self._last_end = crash.what if expected is None else str(expected)
        self._tell()
        if expected is not None:
            return expected
        self._log.error("%s", str(crash))  # a record that is kept must not keep what the calls held
        return crash

    def _await_end(self) -> None:
        """A worker that another thread is stopping has to be gone before it can start again."""
        if self._state is WorkerState.STOPPING and self._connection is not None:
            self._connection.join()

    def _move(self, target: WorkerState) -> None:
        with self._lock:
            self._state = WORKER_MOVES.move(self._state, target)
        self._tell()

    def _tell(self) -> None:
        if self._on_change is not None:
            self._on_change(self.spec.site_id)

    def _not_running(self) -> WorkerError:
        return WorkerNotRunning(
            f"The worker of {self.spec.pack_name!r} is not running ({self._state.value}); start it first."
        )


def _allow_list() -> AllowList:
    # Late: ComfyUI's process rarely opens what workers packed.
    from comfy_env_core.wire.objects.allowed import host_allow_list  # noqa: PLC0415

    return host_allow_list()


def _ask_to_leave(connection: Connection) -> None:
    connection.call("shutdown")
