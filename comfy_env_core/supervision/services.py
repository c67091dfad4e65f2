"""What the host does for its workers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from comfy_env_core.wire import Crew, IncomingCall

log = logging.getLogger("comfy-env.supervision")


class HostServices(Protocol):
    """Given to every worker by whoever runs ComfyUI's side.

    `progress` and `send_sync` are called on the thread that reads from the worker, in the order the node made
    them and before its result is delivered: they must be quick, must not call the worker and raise nothing.
    `folder_paths` is called on the thread that waits for the node, or on another one.
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
    ComfyUI's own, with its inference mode and context. The rest goes to threads of the worker's own."""

    def __init__(self, services: HostServices, name: str) -> None:
        self._services = services
        self._name = name
        self._crew = Crew(f"comfy-env serve {name}")

    def dispatch(self, call: IncomingCall) -> None:
        """Called on whichever thread reads."""
        if call.method in ("progress", "send_sync"):
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
            functions: dict[str, Callable[..., Any]] = {
                "progress": self._services.progress,
                "send_sync": self._services.send_sync,
                "folder_paths": self._services.folder_paths,
            }
            function = functions.get(call.method)
            if function is None:
                raise LookupError(f"ComfyUI's side has no service {call.method!r}")
            call.reply(function(*call.args()))
        # SystemExit and the like too: the node waits for an answer, and this thread for the node.
        except BaseException as error:
            if not call.wants_reply:
                log.warning("%s of the worker of %s failed", call.method, self._name, exc_info=True)
            call.fail(error)
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise  # the user's, not the object's
