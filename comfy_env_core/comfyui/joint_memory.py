"""ComfyUI's memory management joined with that of the workers, as soon as there is a node to call."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfy_env_core.comfyui.memory import HostMemory
    from comfy_env_core.manager import Manager


class JointMemory:
    """Imports ComfyUI's part, and with it torch, when it is first needed; see `deferred`."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._lock = threading.Lock()
        self._host: HostMemory | None = None

    def host(self) -> HostMemory:
        """Joins the two once."""
        with self._lock:
            if self._host is None:
                import comfy.model_management  # imports torch, see above
                from comfy_execution.utils import get_executing_context

                from comfy_env_core.comfyui.memory import HostMemory
                from comfy_env_core.comfyui.prompt_loop import PromptLoop

                loop = PromptLoop(get_executing_context)
                self._host = HostMemory(comfy.model_management, self._manager.workers, loop)
                self._host.install()
            return self._host
