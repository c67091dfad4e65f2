"""What node code asks of the host: progress, messages, model folders."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from comfy_env_core.wire.connection import Connection
from comfy_env_core.worker.running import RunningCalls


class Home:
    """The host as stand-ins and bridges see it. May be used from any thread of the worker."""

    def __init__(self, connection: Connection, running: RunningCalls) -> None:
        self._connection = connection
        self.running = running

    def ask(self, service: str, *args: Any) -> Any:
        """Ask a service of the host and wait for its answer; raises what it raises."""
        return self._connection.call(service, list(args)).result()

    def tell(self, service: str, *args: Any) -> None:
        """Tell a service of the host something; nobody waits, a failure is in the host's log."""
        self._connection.notify(service, list(args))

    def progress(self, value: Any, total: Any, preview: Any = None, node_id: str | None = None) -> None:
        """Tell the progress of the current call; raises ComfyUI's interrupt exception if it was cancelled.

        `preview` is ComfyUI's (format, PIL image, size) and travels as (format, encoded bytes, size).
        """
        self.running.raise_if_interrupted()
        node = self.running.fact("node_id") if node_id is None else node_id
        self.tell("progress", value, total, _encode_preview(preview), node)

    def send_sync(self, event: Any, data: Any, sid: Any = None) -> None:
        """A message to the browser, as PromptServer.send_sync."""
        self.tell("send_sync", event, data, sid)

    def folder_paths(
        self, function: str, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of the host's `folder_paths`; raises what it raises."""
        return self.ask("folder_paths", function, list(args), dict(kwargs or {}))


def _encode_preview(preview: Any) -> Any:
    if not (isinstance(preview, (tuple, list)) and len(preview) == 3 and hasattr(preview[1], "save")):
        return None
    kind, image, size = preview
    content = io.BytesIO()
    image.save(content, format="PNG" if kind == "PNG" else "JPEG", quality=95)
    return (kind, content.getvalue(), size)
