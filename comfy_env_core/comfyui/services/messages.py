"""Messages to the page."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from server import PromptServer

if TYPE_CHECKING:
    from comfy_env_core.supervision import WorkerSpec

log = logging.getLogger("comfy-env")


def send_sync(asker: WorkerSpec, event: str, data: Any, sid: str | None) -> None:
    """`PromptServer.instance.send_sync`; `sid` None means every page."""
    server = getattr(PromptServer, "instance", None)
    if server is None:
        log.warning("A worker sent %r before ComfyUI's server exists; the message is dropped.", event)
        return
    server.send_sync(event, data, sid)
