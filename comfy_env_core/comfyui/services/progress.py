"""A node's progress, as ComfyUI's own nodes tell it, and its wish to stop."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import comfy.model_management
import comfy.utils
import numpy
from comfy_execution.progress import get_progress_state
from PIL import Image

if TYPE_CHECKING:
    from comfy_env_core.supervision import WorkerSpec


def progress(asker: WorkerSpec, value: float, total: float, preview: Any, node_id: str | None) -> None:
    """Goes through ComfyUI's own hook, which keeps the registry and tells the page. No hook: no server yet.

    `preview`: None or (format, encoded picture or array, longest side), which ComfyUI wants with a Pillow image inside.
    """
    hook = comfy.utils.PROGRESS_BAR_HOOK
    if hook is None:
        return
    try:
        hook(value, total, _decode_preview(preview), node_id=node_id)
    except comfy.model_management.InterruptProcessingException:
        # The hook took the interrupt flag back to raise it here; the waiting call has to find it.
        comfy.model_management.interrupt_current_processing(True)


def started(asker: WorkerSpec, node_id: str) -> None:
    """`start_progress` of ComfyUI's registry, which a node may use directly."""
    get_progress_state().start_progress(node_id)


def updated(asker: WorkerSpec, node_id: str, value: float, max_value: float, preview: Any) -> None:
    """`update_progress` of ComfyUI's registry; `preview` as above."""
    get_progress_state().update_progress(node_id, value, max_value, _decode_preview(preview))


def finished(asker: WorkerSpec, node_id: str) -> None:
    """`finish_progress` of ComfyUI's registry."""
    get_progress_state().finish_progress(node_id)


def interrupt(asker: WorkerSpec, value: bool) -> None:
    """A node interrupts the run it belongs to, or takes that back."""
    comfy.model_management.interrupt_current_processing(value)


def _decode_preview(preview: Any) -> Any:
    if preview is None:
        return None
    kind, content, size = preview
    if isinstance(content, (bytes, memoryview)):
        return (kind, Image.open(io.BytesIO(content)), size)
    pixels = numpy.asarray(content)
    if pixels.dtype.kind == "f":  # ComfyUI's own pictures: 0 to 1
        pixels = (pixels * 255.0).clip(0, 255).astype(numpy.uint8)
    return (kind, Image.fromarray(pixels), size)
