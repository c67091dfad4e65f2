"""One worker process and the calls made to it."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_env_core.environments.states import WORKER_MOVES, WorkerState
from comfy_env_core.processes import Child, spawn, stop
from comfy_env_core.supervision.errors import WorkerCrashed, WorkerStartError, WorkerStopped, WorkerTimedOut
from comfy_env_core.supervision.output import OutputReader
from comfy_env_core.supervision.services import HostServices, ServiceDesk
from comfy_env_core.supervision.spec import WorkerSpec
from comfy_env_core.supervision.transports import Transport, open_transport
from comfy_env_core.wire import (
    Channel,
    Connection,
    PeerGone,
    PendingCall,
    SegmentMemory,
    WireError,
    receive_greeting,
    send_greeting,
)

if TYPE_CHECKING:
    from comfy_env_core.wire.objects.allowed import AllowList

BOOT = Path(__file__).resolve().parents[1] / "worker" / "boot.py"
# How long a process that closed its connection may take to be gone, and its last output to arrive.
EXIT_GRACE_S = 0.5
OUTPUT_GRACE_S = 0.2

OnOutput = Callable[[WorkerSpec, str], None]


@dataclass(frozen=True)
class WorkerStatistics:
    """A worker at one moment. Times are seconds of `time.monotonic`."""

    pid: int | None
    state: WorkerState
    started_at: float | None
    start_duration_s: float | None
    calls: int
    open_calls: int
    last_used_at: float | None
    python_version: str | None


class WorkerCall:
    """An open call of a worker. Waiting and results as `wire.PendingCall`; cancel has teeth."""

    def __init__(self, worker: Worker, connection: Connection, method: str, args: Sequence[Any]) -> None:
        self._worker = worker
        self._timers: list[threading.Timer] = []
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
        self._pending.cancel()
        reason = (
            f"The node of {self._worker.spec.pack_name!r} did not react to cancel within {kill_after_s:g} s; "
            "its worker process was stopped. It is started again by the next run."
        )
        self.stop_worker_after(kill_after_s, WorkerStopped(reason))

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

    def _settle(self, _: PendingCall) -> None:
        for timer in self._timers:
            timer.cancel()
        self._worker.call_ended()


class Worker:
    """One process for one site. `start` it once or again after it ended; all methods are thread-safe.

    `on_output(spec, line)` is called for every line the worker prints, on a thread of the worker's own. `memory` is
    that of all workers, so that an array of one is passed to another without a copy.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        services: HostServices,
        on_output: OnOutput | None = None,
        *,
        transport: Callable[[], Transport] = open_transport,
        memory: SegmentMemory | None = None,
    ) -> None:
        self.spec = spec
        self._memory = SegmentMemory() if memory is None else memory
        self._services = services
        self._on_output = on_output
        self._open_transport = transport
        self._log = logging.getLogger(f"comfy-env.{spec.pack_name}")
        self._starting = threading.Lock()
        self._lock = threading.Lock()
        self._state = WorkerState.STOPPED
        self._child: Child | None = None
        self._connection: Connection | None = None
        self._output: OutputReader | None = None
        self._desk: ServiceDesk | None = None
        self._end_reason: WorkerStopped | None = None
        self._facts: dict[str, Any] = {}
        self._calls = 0
        self._open_calls = 0
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
        child = self._child
        return child.pid if child is not None and self.is_alive else None

    @property
    def is_alive(self) -> bool:
        """Whether it can take calls."""
        return self._state in (WorkerState.IDLE, WorkerState.BUSY)

    @property
    def statistics(self) -> WorkerStatistics:
        """Figures for the panel."""
        with self._lock:
            return WorkerStatistics(
                pid=self.pid,
                state=self._state,
                started_at=self._started_at,
                start_duration_s=self._start_duration_s,
                calls=self._calls,
                open_calls=self._open_calls,
                last_used_at=self._last_used_at,
                python_version=self._facts.get("python"),
            )

    def as_json(self) -> dict[str, Any]:
        """Figures for the panel: site, pack, pid, state, python, calls, open_calls, start_duration_s, idle_s."""
        now = self.statistics
        idle_s = None if now.last_used_at is None or now.open_calls else time.monotonic() - now.last_used_at
        return {
            "site": self.spec.site_id,
            "pack": self.spec.pack_name,
            "pid": now.pid,
            "state": now.state.value,
            "python": now.python_version,
            "calls": now.calls,
            "open_calls": now.open_calls,
            "start_duration_s": now.start_duration_s,
            "idle_s": idle_s if self.is_alive else None,
        }

    def start(self, timeout_s: float = 60.0) -> None:
        """Start the process and wait until it answers; nothing to do if it runs. Raises WorkerStartError."""
        with self._starting:
            if self.is_alive:
                return
            self._await_end()
            began = time.monotonic()
            self._move(WorkerState.STARTING)
            self._end_reason = None
            try:
                self._start(timeout_s)
            except BaseException:
                self._move(WorkerState.CRASHED)
                raise
            self._started_at = self._last_used_at = time.monotonic()
            self._start_duration_s = self._started_at - began

    def call(self, method: str, args: Sequence[Any] = (), *, timeout_s: float | None = None) -> WorkerCall:
        """Call a method of the worker (`describe`, `run`, `forget`, `ping`).

        With `timeout_s`, a call that takes longer ends the worker: its code cannot be stopped otherwise.
        Raises WorkerStopped if the worker is not running, EncodeError if the arguments cannot be sent.
        """
        connection = self._connection
        with self._lock:
            if connection is None or not self.is_alive:
                raise WorkerStopped(
                    f"The worker of {self.spec.pack_name!r} is not running ({self._state.value}); start it first."
                )
            self._open_calls += 1
            self._calls += 1
            if self._state is WorkerState.IDLE:
                self._state = WORKER_MOVES.move(self._state, WorkerState.BUSY)
        try:
            call = WorkerCall(self, connection, method, args)
        except BaseException:
            self.call_ended()
            raise
        if timeout_s is not None:
            message = f"{self.spec.pack_name!r} took longer than {timeout_s:g} s for {method!r}"
            tail = f" Its worker process was stopped. Log: {self.spec.log_path}"
            call.stop_worker_after(timeout_s, WorkerTimedOut(f"{message}.{tail}"))
        return call

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

    def end_for(self, error: WorkerStopped, *, grace_s: float = 1.0, ask: bool = False) -> None:
        """End the process and fail its open calls with `error`. Without `ask` it is terminated at once."""
        with self._lock:
            child, connection = self._child, self._connection
            if child is None or connection is None or not self.is_alive:
                return
            self._end_reason = error
            self._state = WORKER_MOVES.move(self._state, WorkerState.STOPPING)
        stop(child, ask=(lambda: _ask_to_leave(connection)) if ask else None, grace_s=grace_s)
        connection.join(EXIT_GRACE_S + OUTPUT_GRACE_S + 1)

    def call_ended(self) -> None:
        """A call has its answer (called by WorkerCall)."""
        with self._lock:
            self._open_calls -= 1
            self._last_used_at = time.monotonic()
            if self._open_calls == 0 and self._state is WorkerState.BUSY:
                self._state = WORKER_MOVES.move(self._state, WorkerState.IDLE)

    # -- starting ------------------------------------------------------------------------------------------

    def _start(self, timeout_s: float) -> None:
        transport = self._open_transport()
        try:
            child = self._spawn(transport)
            try:
                sock = self._greet(transport, child, timeout_s)
            except (OSError, ValueError, WireError) as error:
                if isinstance(error, WireError):
                    child.wait(EXIT_GRACE_S)  # it leaves by itself and says why in its log
                stop(child, grace_s=0.5)
                raise self._start_error(self._describe_start_failure(error, child, timeout_s)) from error
            except BaseException:
                stop(child, grace_s=0.5)
                raise
        finally:
            transport.close()
        self._child = child
        self._desk = ServiceDesk(self._services, self.spec)
        self._connection = Connection(
            Channel(sock),
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

    def _spawn(self, transport: Transport) -> Child:
        spec = self.spec
        try:
            child = spawn(
                [spec.python, str(BOOT), *transport.arguments],
                env=spec.environment(os.environ),
                cwd=None,
                stdin=transport.stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=transport.pass_fds,
            )
        except OSError as error:
            raise self._start_error(
                f"{str(spec.python)!r} cannot be run: {error.strerror or error}"
            ) from error
        assert child.popen.stdout is not None
        self._output = OutputReader(child.popen.stdout, spec.pack_name, spec.log_path, self._pass_on)
        return child

    def _greet(self, transport: Transport, child: Child, timeout_s: float) -> socket.socket:
        deadline = time.monotonic() + timeout_s
        sock = transport.connect(child, timeout_s)
        try:
            sock.settimeout(max(0.1, deadline - time.monotonic()))
            send_greeting(sock, self.spec.greeting())
            self._facts = receive_greeting(sock, f"worker {self.spec.pack_name}")
            sock.settimeout(None)
        except BaseException:
            sock.close()
            raise
        return sock

    def _describe_start_failure(self, error: Exception, child: Child, timeout_s: float) -> str:
        if isinstance(error, TimeoutError):
            return f"it did not answer within {timeout_s:g} s"
        if isinstance(error, (PeerGone, ConnectionError)):
            code = child.wait(EXIT_GRACE_S)
            return f"it ended at once with exit code {code}" if code is not None else f"it hung up: {error}"
        return str(error)

    def _start_error(self, problem: str) -> WorkerStartError:
        tail = self._output.tail(OUTPUT_GRACE_S) if self._output is not None else ()
        remedy = "If the lines below do not explain it, rebuild the pack's environment."
        return WorkerStartError(self.spec.pack_name, problem, tail, self.spec.log_path, remedy)

    def _pass_on(self, line: str) -> None:
        self._log.info("%s", line)
        if self._on_output is not None:
            self._on_output(self.spec, line)

    # -- ending --------------------------------------------------------------------------------------------

    def _lost(self, gone: PeerGone) -> BaseException:
        """The connection ended (reading thread): find out why, so that open calls can say it."""
        child, output = self._child, self._output
        assert child is not None and output is not None
        code = child.wait(EXIT_GRACE_S)
        if code is None:
            child.kill_tree()  # alive without a connection it is of no use
            code = child.wait(EXIT_GRACE_S)
        tail = output.tail(OUTPUT_GRACE_S)
        if self._desk is not None:
            self._desk.close()
        with self._lock:
            expected = self._end_reason
            target = WorkerState.STOPPED if self._state is WorkerState.STOPPING else WorkerState.CRASHED
            self._state = WORKER_MOVES.move(self._state, target)
        if expected is not None:
            return expected
        crash = WorkerCrashed(self.spec.pack_name, code, tail, self.spec.log_path)
        self._log.error("%s", crash)
        return crash

    def _await_end(self) -> None:
        """A worker that another thread is stopping has to be gone before it can start again."""
        if self._state is WorkerState.STOPPING and self._connection is not None:
            self._connection.join()

    def _move(self, target: WorkerState) -> None:
        with self._lock:
            self._state = WORKER_MOVES.move(self._state, target)


def _allow_list() -> AllowList:
    # Late: ComfyUI's process rarely opens what workers packed.
    from comfy_env_core.wire.objects.allowed import host_allow_list  # noqa: PLC0415

    return host_allow_list()


def _ask_to_leave(connection: Connection) -> None:
    connection.call("shutdown")
