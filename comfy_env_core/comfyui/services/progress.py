"""A node's progress, as ComfyUI's own nodes tell it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import comfy.model_management
import comfy.utils
from PIL import Image

if TYPE_CHECKING:
    from comfy_env_core.supervision import WorkerSpec


def progress(asker: WorkerSpec, value: float, total: float, preview: Any, node_id: str | None) -> None:
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


def _decode_preview(preview: Any) -> Any:
    if preview is None:
        return None
    kind, content, size = preview
    return (kind, Image.open(io.BytesIO(content)), size)
