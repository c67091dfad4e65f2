"""A worker is about to load a model and the GPU is full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_env_core.comfyui.session import holder

if TYPE_CHECKING:
    from comfy_env_core.supervision import WorkerSpec


def vram_need(asker: WorkerSpec, needed_bytes: int, device: str) -> None:
    """Frees what ComfyUI can do without, then what idle workers can. Says nothing when that is not enough: the worker
    loads a part of its model then, as ComfyUI does on a small GPU."""
    session = holder.session
    if session is not None:
        session.memory.host().need(asker.site_id, needed_bytes, device)
