"""What node code asks of the host: progress, messages, model folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from comfy_env_core.wire.connection import Connection
from comfy_env_core.worker.running import RunningCalls


class Home:
    """The host as stand-ins and bridges see it. May be used from any thread of the worker.

    `folder_changes`: what the pack's modules did to `folder_paths` when they were imported (see
    wire.values.folder_changes).
    """

    def __init__(self, connection: Connection, running: RunningCalls) -> None:
        self._connection = connection
        self.running = running
        self.folder_changes: list[Any] = []

    def ask(self, service: str, *args: Any) -> Any:
        """Ask a service of the host and wait for its answer; raises what it raises."""
        return self._connection.call(service, list(args)).result()

    def tell(self, service: str, *args: Any) -> None:
        """Tell a service of the host something; nobody waits, a failure is in the host's log."""
        self._connection.notify(service, list(args))

    def send_sync(self, event: Any, data: Any, sid: Any = None) -> None:
        """A message to the browser, as PromptServer.send_sync."""
        self.tell("send_sync", event, data, sid)

    def folder_paths(
        self, function: str, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of the host's `folder_paths`; raises what it raises."""
        return self.ask("folder_paths", function, list(args), dict(kwargs or {}))
