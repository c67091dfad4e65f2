"""What a worker may ask of ComfyUI while it runs a node: progress, messages to the page, directories.

Every method is called from a thread of a worker's connection, never from the thread that runs the node.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import comfy.model_management
import comfy.utils
from PIL import Image
from server import PromptServer

from comfy_env_core.comfyui import folders

log = logging.getLogger("comfy-env")


class ComfyUIServices:
    """`comfy_env_core.supervision.HostServices` over the running ComfyUI."""

    def progress(self, value: float, total: float, preview: Any, node_id: str | None) -> None:
        """Goes through ComfyUI's own hook, which keeps the registry and tells the page. No hook: no server yet.

        `preview`: None or (format, encoded picture, longest side), which ComfyUI wants with a Pillow image inside.
        """
        hook = comfy.utils.PROGRESS_BAR_HOOK
        if hook is None:
            return
        try:
            hook(value, total, _decode_preview(preview), node_id=node_id)
        except comfy.model_management.InterruptProcessingException:
            # The hook took the interrupt flag back to raise it here; the waiting call has to find it.
            comfy.model_management.interrupt_current_processing(True)

    def send_sync(self, event: str, data: Any, sid: str | None) -> None:
        server = getattr(PromptServer, "instance", None)
        if server is None:
            log.warning("A worker sent %r before ComfyUI's server exists; the message is dropped.", event)
            return
        server.send_sync(event, data, sid)

    def folder_paths(self, function: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return folders.answer(function, args, kwargs)


def _decode_preview(preview: Any) -> Any:
    if preview is None:
        return None
    kind, content, size = preview
    return (kind, Image.open(io.BytesIO(content)), size)
