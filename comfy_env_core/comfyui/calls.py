"""One call of an isolated node, seen from ComfyUI: its execution context goes along, its interrupt is passed on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import comfy.model_management
from comfy_execution.utils import get_executing_context

from comfy_env_core.comfyui.node_calls import NodeCall
from comfy_env_core.comfyui.outputs import to_host_values
from comfy_env_core.supervision import WorkerCall

#: How often a waiting call looks for ComfyUI's interrupt. It is a plain flag: there is nothing to wait on.
INTERRUPT_POLL_S = 0.05

#: Of a class that the worker's and the host's ComfyUI both call so; workers of lean environments have a stand-in.
_INTERRUPT_CLASS = ("comfy.model_management", "InterruptProcessingException")

RunInWorker = Callable[[Mapping[str, Any]], WorkerCall]


class SiteCaller:
    """Calls the nodes of one site. `run` sends a request to the site's worker, starting it if need be."""

    def __init__(self, run: RunInWorker, has_torch: Callable[[], bool]) -> None:
        self._run = run
        self._has_torch = has_torch

    def call(self, call: NodeCall) -> Any:
        pending = self._start(call)
        is_cancelled = False
        with pending.attended():
            while not pending.wait(INTERRUPT_POLL_S):
                is_cancelled = _pass_on_interrupt(pending, is_cancelled)
        return self._answer(call, pending)

    async def call_async(self, call: NodeCall) -> Any:
        # Making the request may start a worker, which takes a second: not on the event loop.
        loop = asyncio.get_running_loop()
        pending = await loop.run_in_executor(None, self._start, call, get_executing_context())
        finished = asyncio.Event()

        def wake(_: WorkerCall) -> None:
            loop.call_soon_threadsafe(finished.set)

        pending.add_done_callback(wake)
        is_cancelled = False
        try:
            while not pending.done():
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(finished.wait(), INTERRUPT_POLL_S)
                is_cancelled = _pass_on_interrupt(pending, is_cancelled)
        except asyncio.CancelledError:
            pending.cancel()
            raise
        return self._answer(call, pending)

    def _start(self, call: NodeCall, context: Any = None) -> WorkerCall:
        context = context or get_executing_context()
        return self._run(
            {
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
                },
            }
        )

    def _answer(self, call: NodeCall, pending: WorkerCall) -> Any:
        try:
            result = pending.result()
        except Exception as error:
            _raise_as_host_interrupt(error)
            raise
        return result if self._has_torch() else to_host_values(result, call.return_types)


def _pass_on_interrupt(pending: WorkerCall, is_cancelled: bool) -> bool:
    """Cancels the call once when the user pressed stop; returns whether it is cancelled now.

    The flag stays set until the worker answers: other nodes that run at the same time have to see it as well.
    """
    if not is_cancelled and comfy.model_management.processing_interrupted():
        pending.cancel()
        return True
    return is_cancelled


def _raise_as_host_interrupt(error: Exception) -> None:
    """Raises ComfyUI's own interrupt in place of the worker's: ComfyUI catches it by class, and takes back its flag."""
    kind = type(error)
    if (kind.__module__, kind.__qualname__) == _INTERRUPT_CLASS:
        comfy.model_management.interrupt_current_processing(False)
        raise comfy.model_management.InterruptProcessingException from error
