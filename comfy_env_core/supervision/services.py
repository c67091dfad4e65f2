"""What the host does for its workers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from comfy_env_core.supervision.spec import WorkerSpec
from comfy_env_core.wire import Crew, IncomingCall

log = logging.getLogger("comfy-env.supervision")


class Service(NamedTuple):
    """One thing that a worker may ask of the host.

    `answer(asker, *args)`: `asker` is the spec of the worker that asks. What it returns goes to the worker, what it
    raises is raised there. It is called on the thread that waits for the node, or on one of the worker's own.

    `at_once`: it is called on the thread that reads from the worker instead, in the order the node asked and before the
    node's result is delivered. It must be quick then, must not call the worker, and raises nothing.
    """

    answer: Callable[..., Any]
    at_once: bool = False


class HostServices(Protocol):
    """Given to every worker by whoever runs ComfyUI's side. Names and arguments: the methods of `worker.home.Home`."""

    def find(self, name: str) -> Service | None:
        """The service of that name; None when the host has no such service. Callable from any thread."""


class ServiceDesk:
    """Takes a worker's calls. What a node asks for while ComfyUI waits for it is answered by the thread that waits:
    ComfyUI's own, with its inference mode and context. The rest goes to threads of the worker's own."""

    def __init__(self, services: HostServices, asker: WorkerSpec) -> None:
        self._services = services
        self._asker = asker
        self._crew = Crew(f"comfy-env serve {asker.pack_name}")

    def dispatch(self, call: IncomingCall) -> None:
        """Called on whichever thread reads."""
        service = None if call.connection.is_own(call) else self._services.find(call.method)
        if service is not None and service.at_once:
            self.answer(call)
        else:
            self._crew.post(lambda: call.connection.perform(call))

    def close(self) -> None:
        """No more calls: end the threads."""
        self._crew.close()

    def answer(self, call: IncomingCall) -> None:
        """Answer on this thread, for Connection.perform."""
        try:
            if call.connection.is_own(call):
                call.reply(call.connection.answer(call))
                return
            service = self._services.find(call.method)
            if service is None:
                raise LookupError(f"ComfyUI's side has no service {call.method!r}")
            call.reply(service.answer(self._asker, *call.args()))
        # SystemExit and the like too: the node waits for an answer, and this thread for the node.
        except BaseException as error:
            if not call.wants_reply:
                log.warning(
                    "%s of the worker of %s failed", call.method, self._asker.pack_name, exc_info=True
                )
            call.fail(error)
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise  # the user's, not the object's
