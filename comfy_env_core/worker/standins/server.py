"""`server.PromptServer`, as far as node code uses it while it runs: messages to the browser.

HTTP routes and prompt handlers belong to the host's process; what a pack registers here is noted in the log and
has no effect.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any

from comfy_env_core.worker.configuration import Configuration
from comfy_env_core.worker.home import Home

log = logging.getLogger("comfy-env.worker")


def fill(module: ModuleType, home: Home, configuration: Configuration) -> None:
    """`PromptServer` with its `instance`."""
    server = PromptServer(home)
    vars(module)["PromptServer"] = type(
        "PromptServer", (PromptServer,), {"__module__": "server", "instance": server}
    )


class PromptServer:
    """The server as the pack's process sees it."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.routes = Routes()
        self.supports = ["custom_nodes_from_web"]
        self.sockets: dict[str, Any] = {}

    @property
    def client_id(self) -> Any:
        """The browser that started the current run; None means all."""
        return self._home.running.fact("client_id")

    @property
    def last_node_id(self) -> Any:
        """The node that runs."""
        return self._home.running.fact("node_id")

    @property
    def last_prompt_id(self) -> Any:
        """The prompt that runs."""
        return self._home.running.fact("prompt_id")

    def send_sync(self, event: Any, data: Any, sid: Any = None) -> None:
        """Send a message to the browser."""
        self._home.send_sync(event, data, sid)

    async def send(self, event: Any, data: Any, sid: Any = None) -> None:
        """Send a message to the browser."""
        self._home.send_sync(event, data, sid)

    def send_progress_text(self, text: Any, node_id: Any, sid: Any = None) -> None:
        """Show a text under a node."""
        self._home.send_sync("progress_text", {"nodeId": node_id, "text": text}, sid)

    def add_on_prompt_handler(self, handler: Callable[[Any], Any]) -> None:
        """Not forwarded."""
        log.warning("A prompt handler (%r) has no effect in an isolated environment", handler)


class Routes:
    """Takes route handlers and leaves them alone."""

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_"):
            raise AttributeError(method)

        def register(path: Any = "", *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
            log.warning(
                "The route %s %s is not served: its pack runs in another process", method.upper(), path
            )
            return lambda handler: handler

        return register
