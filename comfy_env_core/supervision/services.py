"""What the host does for its workers."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from comfy_env_core.wire import IncomingCall

log = logging.getLogger("comfy-env.supervision")


class HostServices(Protocol):
    """Given to every worker by whoever runs ComfyUI's side.

    `progress` and `send_sync` are called on the thread that reads from the worker, in the order the node made
    them and before its result is delivered: they must be quick, must not call the worker and raise nothing.
    `folder_paths` is called on a thread of its own per worker.
    """

    def progress(self, value: Any, total: Any, preview: Any, node_id: str | None) -> None:
        """A node's progress. `preview` is None or (format, encoded image bytes, size)."""

    def send_sync(self, event: Any, data: Any, sid: Any) -> None:
        """A message to the browser; `sid` None means all."""

    def folder_paths(self, function: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call `folder_paths.<function>`; what it raises is raised in the node.

        Two names are not functions of the module: "__getattr__" (args: name) answers {"value": constant} or
        {"function": True}, or raises AttributeError; "folder_names_and_paths.__setitem__" (args: name, entry)
        registers a folder.
        """


class ServiceDesk:
    """Takes a worker's calls. What a node asks for while ComfyUI waits for it is answered by the thread that waits:
    ComfyUI's own, with its inference mode and context. The rest goes to a thread of the worker's own."""

    def __init__(self, services: HostServices, name: str) -> None:
        self._services = services
        self._name = name
        self._queue: queue.SimpleQueue[IncomingCall | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def dispatch(self, call: IncomingCall) -> None:
        """Called on whichever thread reads."""
        if call.method in ("progress", "send_sync"):
            self.answer(call)
            return
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._serve, name=f"comfy-env serve {self._name}", daemon=True
            )
            self._thread.start()
        self._queue.put(call)

    def close(self) -> None:
        """No more calls: end the thread."""
        self._queue.put(None)

    def _serve(self) -> None:
        while True:
            call = self._queue.get()
            if call is None:
                return
            self.answer(call)
            del call  # do not hold its arguments while waiting for the next

    def answer(self, call: IncomingCall) -> None:
        """Answer on this thread."""
        try:
            if call.connection.is_own(call):
                call.reply(call.connection.answer(call))
                return
            functions: dict[str, Callable[..., Any]] = {
                "progress": self._services.progress,
                "send_sync": self._services.send_sync,
                "folder_paths": self._services.folder_paths,
            }
            function = functions.get(call.method)
            if function is None:
                raise LookupError(f"ComfyUI's side has no service {call.method!r}")
            call.reply(function(*call.args()))
        except Exception as error:  # the caller is told; this thread must go on
            if not call.wants_reply:
                log.warning("%s of the worker of %s failed", call.method, self._name, exc_info=True)
            call.fail(error)
