"""What a worker may ask of ComfyUI while it runs a node: progress, messages to the page, directories.

Every method is called from a thread of a worker's connection, never from the thread that runs the node.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import comfy.utils
import folder_paths
from server import PromptServer

log = logging.getLogger("comfy-env")


class ComfyUIServices:
    """`comfy_env_core.supervision.HostServices` over the running ComfyUI."""

    def progress(self, value: float, total: float, preview: Any, node_id: str | None, prompt_id: str | None) -> None:
        """Goes through ComfyUI's own hook, which keeps the registry and tells the page. No hook: no server yet."""
        hook = comfy.utils.PROGRESS_BAR_HOOK
        if hook is None:
            return
        try:
            hook(value, total, preview, prompt_id=prompt_id, node_id=node_id)
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
        """Calls a public function of `folder_paths`, or reads a public constant when `function` names one."""
        if function.startswith("_"):
            raise AttributeError(f"folder_paths.{function} is private and not available to workers.")
        member = getattr(folder_paths, function)
        if callable(member):
            if getattr(member, "__module__", None) != folder_paths.__name__:
                raise AttributeError(f"folder_paths.{function} is no function of folder_paths.")
            return member(*args, **kwargs)
        return member
