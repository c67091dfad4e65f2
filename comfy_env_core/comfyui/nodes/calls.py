"""One call of an isolated node, seen from ComfyUI: its execution context goes along, its interrupt is passed on."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, NoReturn, Protocol

import comfy.model_management
from comfy_execution.utils import get_executing_context
from server import PromptServer

from comfy_env_core.comfyui.nodes.node_calls import NodeCall
from comfy_env_core.comfyui.nodes.outputs import to_host_values
from comfy_env_core.comfyui.services.inputs import OpenInputs
from comfy_env_core.supervision import WorkerCall, WorkerStopped

#: How often a waiting call looks for ComfyUI's interrupt. It is a plain flag: there is nothing to wait on.
INTERRUPT_POLL_S = 0.05

#: Of a class that the worker's and the host's ComfyUI both call so; workers of lean environments have a stand-in.
_INTERRUPT_CLASS = ("comfy.model_management", "InterruptProcessingException")


#: ComfyUI takes whatever these raise for "changed" and goes on to run the node: that has to find the flag again.
_NOT_STOPPED_BY = frozenset({"IS_CHANGED", "fingerprint_inputs"})

#: What ComfyUI asks when a prompt is queued. The interrupt is for the prompt that runs meanwhile.
_NOT_OF_THE_RUN = frozenset({"VALIDATE_INPUTS", "validate_inputs"})


class SiteWorker(Protocol):
    """The worker of one site."""

    def is_running(self) -> bool:
        """Whether it takes calls now."""

    def start(self) -> None:
        """Starts it and waits until it takes calls. Raises SiteNotReady or WorkerStartError."""

    def run(self, request: Mapping[str, Any]) -> WorkerCall:
        """Sends a request (see `worker.nodes.execution`), starting the worker if need be. Raises as `start`."""


class SiteCaller:
    """Calls the nodes of one site. `kill_after_s`: how long a node may ignore ComfyUI's interrupt."""

    def __init__(
        self, worker: SiteWorker, has_torch: Callable[[], bool], inputs: OpenInputs, kill_after_s: float
    ) -> None:
        self._worker = worker
        self._has_torch = has_torch
        self._inputs = inputs
        self._kill_after_s = kill_after_s

    def call(self, call: NodeCall) -> Any:
        request = _request(call)
        if not self._worker.is_running():
            started = self._start_beside()
            while not _is_done(started):
                _raise_if_interrupted(call)
            started.result()
        with self._watched(request):
            pending = self._worker.run(request)
            is_cancelled = False
            with pending.attended():
                while not pending.wait(INTERRUPT_POLL_S):
                    is_cancelled = self._pass_on_interrupt(call, pending, is_cancelled)
            return self._answer(call, pending)

    async def call_async(self, call: NodeCall) -> Any:
        request = _request(call)
        loop = asyncio.get_running_loop()
        if not self._worker.is_running():
            await self._wait_for_start(call)
        with self._watched(request):
            # Sending may take a while: not on the event loop.
            sending = loop.run_in_executor(None, self._worker.run, request)
            try:
                pending = await asyncio.shield(sending)
            except asyncio.CancelledError:
                sending.add_done_callback(self._cancel_sent)
                raise
            await self._wait(call, pending, loop)
            return self._answer(call, pending)

    async def _wait_for_start(self, call: NodeCall) -> None:
        started = asyncio.wrap_future(self._start_beside())
        try:
            while not (await asyncio.wait([started], timeout=INTERRUPT_POLL_S))[0]:
                _raise_if_interrupted(call)
            started.result()
        finally:
            started.cancel()  # the loop may be gone when the worker is up

    async def _wait(self, call: NodeCall, pending: WorkerCall, loop: asyncio.AbstractEventLoop) -> None:
        finished = asyncio.Event()

        def wake(_: WorkerCall) -> None:
            with contextlib.suppress(RuntimeError):  # the run is over, and its loop with it
                loop.call_soon_threadsafe(finished.set)

        pending.add_done_callback(wake)
        is_cancelled = False
        try:
            while not pending.done():
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(finished.wait(), INTERRUPT_POLL_S)
                is_cancelled = self._pass_on_interrupt(call, pending, is_cancelled)
        except asyncio.CancelledError:
            pending.cancel(self._kill_after_s)
            raise

    def _start_beside(self) -> Future[None]:
        """Starts the worker on a thread of its own, which goes on if the user presses stop: the next run wants it."""
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()  # who waits may give up, the start does not

        def start() -> None:
            try:
                self._worker.start()
            except BaseException as error:  # noqa: BLE001  # raised again by whoever waits
                future.set_exception(error)
            else:
                future.set_result(None)

        threading.Thread(target=start, name="comfy-env start", daemon=True).start()
        return future

    @contextlib.contextmanager
    def _watched(self, request: dict[str, Any]) -> Iterator[None]:
        """Inside, what the node changes in its inputs is changed here as well."""
        request["inputs"] = token = self._inputs.open(request)
        try:
            yield
        finally:
            self._inputs.close(token)

    def _cancel_sent(self, sending: asyncio.Future[WorkerCall]) -> None:
        if not sending.cancelled() and sending.exception() is None:
            sending.result().cancel(self._kill_after_s)

    def _pass_on_interrupt(self, call: NodeCall, pending: WorkerCall, is_cancelled: bool) -> bool:
        """Cancels the call once when the user pressed stop; returns whether it is cancelled now.

        The flag stays set until the worker answers: other nodes that run at the same time have to see it as well.
        """
        if not is_cancelled and _is_interrupted(call):
            pending.cancel(self._kill_after_s)
            return True
        return is_cancelled

    def _answer(self, call: NodeCall, pending: WorkerCall) -> Any:
        try:
            result = pending.result()
        except WorkerStopped:
            # Whatever it was stopped for is over: a flag that stays would end the next node as well.
            comfy.model_management.interrupt_current_processing(False)
            raise
        except Exception as error:
            if (type(error).__module__, type(error).__qualname__) == _INTERRUPT_CLASS:
                _raise_interrupt(call, error)
            raise
        return result if self._has_torch() else to_host_values(result, call.return_types)


def _request(call: NodeCall) -> dict[str, Any]:
    context = get_executing_context()
    server = getattr(PromptServer, "instance", None)
    return {
        "class": list(call.key),
        "instance": call.instance,
        "function": call.function,
        "args": list(call.args),
        "kwargs": dict(call.kwargs),
        "hidden": None if call.hidden is None else dict(call.hidden),
        "context": {
            "prompt_id": getattr(context, "prompt_id", None),
            "node_id": getattr(context, "node_id", None),
            "list_index": getattr(context, "list_index", None),
            **{name: getattr(server, name, None) for name in ("client_id", "last_node_id", "last_prompt_id")},
        },
    }


def _is_done(future: Future[None]) -> bool:
    """Waits a moment for it."""
    with contextlib.suppress(TimeoutError):
        future.exception(INTERRUPT_POLL_S)
    return future.done()


def _is_interrupted(call: NodeCall) -> bool:
    return call.function not in _NOT_OF_THE_RUN and comfy.model_management.processing_interrupted()


def _raise_if_interrupted(call: NodeCall) -> None:
    if _is_interrupted(call):
        _raise_interrupt(call, None)


def _raise_interrupt(call: NodeCall, cause: Exception | None) -> NoReturn:
    """Raises ComfyUI's own interrupt: ComfyUI catches it by class. Its flag is taken back, as by its own nodes."""
    comfy.model_management.interrupt_current_processing(call.function in _NOT_STOPPED_BY)
    raise comfy.model_management.InterruptProcessingException from cause
