"""Progress of nodes on its way to the host, with pictures of what they make."""

from __future__ import annotations

import io
from typing import Any

from comfy_env_core.worker.home import Home

#: Of Pillow's modes, those that JPEG can hold.
_JPEG_MODES = frozenset({"L", "RGB", "CMYK"})


class Progress:
    """Tells the host; may be used from any thread of the worker."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def hook(
        self, value: Any, total: Any, preview: Any = None, prompt_id: Any = None, node_id: Any = None
    ) -> None:
        """What ComfyUI calls for a progress bar. Raises ComfyUI's interrupt exception if the call was cancelled."""
        running = self._home.running
        running.raise_if_interrupted()
        node = running.fact("node_id") if node_id is None else node_id
        self._home.tell("progress", value, total, encode_preview(preview), node)

    def bridge(self, module: Any) -> None:
        """Have the registry of `comfy_execution.progress` pass on what it is told. Handlers that a pack adds hear of
        the pack's own nodes."""
        tell, fact = self._home.tell, self._home.running.fact
        base: Any = module.ProgressRegistry

        def start_progress(self: Any, node_id: str) -> None:
            self.prompt_id = fact("prompt_id") or ""
            base.start_progress(self, node_id)
            tell("progress_started", node_id)

        def update_progress(
            self: Any, node_id: str, value: float, max_value: float, image: Any = None
        ) -> None:
            self.prompt_id = fact("prompt_id") or ""
            base.update_progress(self, node_id, value, max_value, image)
            tell("progress_updated", node_id, value, max_value, encode_preview(image))

        def finish_progress(self: Any, node_id: str) -> None:
            self.prompt_id = fact("prompt_id") or ""
            base.finish_progress(self, node_id)
            tell("progress_finished", node_id)

        members = {
            "__module__": base.__module__,
            "start_progress": start_progress,
            "update_progress": update_progress,
            "finish_progress": finish_progress,
        }
        module.global_progress_registry = type(base.__name__, (base,), members)("", None)


def encode_preview(preview: Any) -> Any:
    """ComfyUI's (format, image, longest side in pixels or None) with the image as encoded bytes; arrays stay arrays.

    The image is made as small as the host would make it. What is no such tuple is no preview, as for ComfyUI.
    """
    if not (isinstance(preview, (tuple, list)) and len(preview) == 3):
        return None
    kind, image, size = preview
    if not hasattr(image, "save"):
        return (kind, image, size) if hasattr(image, "shape") else None
    if size is not None and max(image.size) > size:
        image = image.copy()
        image.thumbnail((size, size))
    form = kind if kind != "JPEG" or image.mode in _JPEG_MODES else "PNG"
    content = io.BytesIO()
    image.save(content, format=form, quality=95)
    return (kind, content.getvalue(), size)
