"""Runs node functions: instances, cancel, sync and async."""

from __future__ import annotations

import contextvars
import logging
import os
from collections.abc import Coroutine, Iterable
from typing import Any

from comfy_env_core.wire.calls import IncomingCall
from comfy_env_core.worker.comfyui.bridges import Bridges
from comfy_env_core.worker.comfyui.way_out import call_node
from comfy_env_core.worker.forked import leave
from comfy_env_core.worker.mainthread import MainThread
from comfy_env_core.worker.nodes.classes import NodeClasses
from comfy_env_core.worker.nodes.inputs import InputWatch
from comfy_env_core.worker.running import RunningCall, RunningCalls, interrupt_exception

log = logging.getLogger("comfy-env.worker")


class NodeExecution:
    """Everything here runs on the main thread.

    A request is `{"class": [module, qualname], "instance": id or None, "function": name, "args": list,
    "kwargs": dict, "hidden": dict or None, "context": {"prompt_id", "node_id", "list_index", ...},
    "inputs": token or None}`. With an instance id the function is called on that instance, which is made on first use
    and kept until `forget`; without, on the class, with `hidden` on a clone of it (see v3_calls.py). With a token, what
    the function changed in lists and dicts among its arguments is told to the host's service
    `inputs_changed(token, changes)` before the answer (see inputs.py).
    """

    def __init__(
        self,
        classes: NodeClasses,
        running: RunningCalls,
        bridges: Bridges,
        main_thread: MainThread,
        site_module: str,
    ) -> None:
        self._classes = classes
        self._running = running
        self._bridges = bridges
        self._main_thread = main_thread
        self._site_module = site_module
        self._instances: dict[str, Any] = {}

    def run(self, incoming: IncomingCall) -> None:
        """Run one request and answer it, or leave a task that will."""
        # A context of its own, so that nothing a node sets leaks into the next call.
        contextvars.copy_context().run(self._run, incoming)

    def forget(self, instances: Iterable[str]) -> None:
        """Drop instances the host no longer uses."""
        for identity in instances:
            self._instances.pop(identity, None)

    def has_state(self) -> bool:
        """Whether an instance remembers something that a new one would not (called beside the main thread)."""
        return any(bool(getattr(node, "__dict__", True)) for node in list(self._instances.values()))

    def _run(self, incoming: IncomingCall) -> None:
        call: RunningCall | None = None
        try:
            request = incoming.args()[0]
            call = RunningCall(incoming, request.get("context") or {})
            self._begin(call)
            target = self._target(request)
            self._enter(call, request)
            value = call_node(target, request, self._site_module)
            if isinstance(value, Coroutine):
                self._continue(call, value)
                return
            del request
            self._reply(call, value)
        # Also SystemExit and KeyboardInterrupt: a node that raises them has failed, the worker has not.
        except BaseException as error:  # noqa: BLE001
            if call is not None:
                self._fail(call, error)
            else:
                incoming.fail(error)

    def _begin(self, call: RunningCall) -> None:
        """Its module is imported, its instance made. That may take long and looks at no flag: who cancels meanwhile is
        answered at once, and what was begun is there for the next run."""

        def answer_now() -> None:
            call.incoming.fail(interrupt_exception()())

        self._running.begin(call)
        self._bridges.begin(call)
        call.incoming.on_cancel = answer_now
        if call.is_cancelled:
            raise interrupt_exception()

    def _enter(self, call: RunningCall, request: dict[str, Any]) -> None:
        """The function is called next: from now on, cancelling sets ComfyUI's flag."""
        call.incoming.on_cancel = self._bridges.interrupt
        if call.is_cancelled:  # answered already; a second answer is ignored
            raise interrupt_exception()
        token = request.get("inputs")
        if token is not None:
            call.inputs = (token, InputWatch(request))

    def _reply(self, call: RunningCall, value: Any) -> None:
        if os.getpid() != call.pid:
            leave(None)
        self._end(call)
        _tell_changes(call)
        call.incoming.reply(value)

    def _fail(self, call: RunningCall, error: BaseException) -> None:
        if os.getpid() != call.pid:
            leave(error)
        self._end(call)
        try:
            _tell_changes(call)
        except Exception:  # whatever the host says to it: the node's own error is what matters now
            log.warning("What a node changed in its inputs before it failed is lost", exc_info=True)
        call.incoming.fail(error)

    def _end(self, call: RunningCall) -> None:
        call.incoming.on_cancel = _nothing
        self._running.end(call)

    def _continue(self, call: RunningCall, coroutine: Coroutine[Any, Any, Any]) -> None:
        """The function is async: let it go on while the main thread takes other work."""
        task = self._main_thread.create_task(self._finish(call, coroutine))

        def cancel() -> None:
            self._bridges.interrupt()
            self._main_thread.cancel_task(task)

        call.incoming.on_cancel = cancel
        if call.is_cancelled:  # between the two
            cancel()

    async def _finish(self, call: RunningCall, coroutine: Coroutine[Any, Any, Any]) -> None:
        try:
            self._reply(call, await coroutine)
        # CancelledError among them: it is how a cancelled async node ends.
        except BaseException as error:  # noqa: BLE001
            self._fail(call, interrupt_exception()() if call.is_cancelled else error)

    def _target(self, request: dict[str, Any]) -> Any:
        module, qualname = request["class"]
        kind = self._classes.find(module, qualname)
        identity = request["instance"]
        if identity is None:
            hidden = request.get("hidden")
            if hidden is not None:
                # Late: it needs inspect, which V1 nodes can do without.
                from comfy_env_core.worker.nodes.v3_calls import v3_function  # noqa: PLC0415

                return v3_function(kind, request["function"], hidden)
            return getattr(kind, request["function"])
        if identity not in self._instances:
            self._instances[identity] = kind()
        return getattr(self._instances[identity], request["function"])


def _tell_changes(call: RunningCall) -> None:
    """The host applies them before the node's answer counts. Raises what the host raises."""
    if call.inputs is None:
        return
    (token, watch), call.inputs = call.inputs, None
    changes = watch.changes()
    if changes:
        call.incoming.connection.call("inputs_changed", [token, changes]).result()


def _nothing() -> None:
    pass
