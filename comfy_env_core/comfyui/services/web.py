"""What packs read of ComfyUI's web server and of the module that it is defined in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import server

if TYPE_CHECKING:
    from comfy_env_core.supervision import WorkerSpec


def prompt_server(asker: WorkerSpec, name: str) -> Any:
    """An attribute of `PromptServer.instance` as it is now; objects become live handles. Raises AttributeError."""
    instance = getattr(server.PromptServer, "instance", None)
    if instance is None:
        raise AttributeError(f"PromptServer.instance.{name} cannot be had before ComfyUI's server exists.")
    return getattr(instance, name)


def server_module(asker: WorkerSpec, name: str) -> Any:
    """A member of ComfyUI's `server` module. Raises AttributeError."""
    return getattr(server, name)
