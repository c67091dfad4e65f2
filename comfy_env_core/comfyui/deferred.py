"""Stand-ins that import the rest of this room when they are first used.

Hooks and builds start at prestartup, before ComfyUI has set CUDA_VISIBLE_DEVICES. Whatever imports `comfy.utils`,
`comfy.model_management` or `server` imports torch, which must not happen before. A node is called, and a worker asks
for something, only long after.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from comfy_env_core.comfyui.joint_memory import JointMemory
from comfy_env_core.comfyui.node_calls import ClassKey, NodeCall
from comfy_env_core.comfyui.services import folders
from comfy_env_core.sites.runtime import SiteRuntime
from comfy_env_core.wire.values.file_lists import Files

if TYPE_CHECKING:
    from comfy_env_core.comfyui.calls import SiteCaller
    from comfy_env_core.manager import Manager
    from comfy_env_core.supervision import Service, WorkerCall

log = logging.getLogger("comfy-env")


class DeferredCaller:
    """A `NodeCaller` for one site."""

    def __init__(self, manager: Manager, site: SiteRuntime, memory: JointMemory) -> None:
        self._manager = manager
        self._site = site
        self._memory = memory
        self._files = folders.HostFiles()

    @functools.cached_property
    def _caller(self) -> SiteCaller:
        from comfy_env_core.comfyui.calls import SiteCaller  # imports torch, see above

        self._memory.host()
        return SiteCaller(
            run=functools.partial(self._manager.run, self._site),
            has_torch=lambda: self._site.has_torch,
        )

    def call(self, call: NodeCall) -> Any:
        return self._caller.call(call)

    async def call_async(self, call: NodeCall) -> Any:
        self._memory.host().note_prompt_loop()
        return await self._caller.call_async(call)

    @property
    def files(self) -> Files:
        return self._files

    def describe_inputs(
        self, keys: Sequence[ClassKey], done: Callable[[Sequence[Mapping[str, Any]]], None]
    ) -> None:
        worker = self._manager.workers.running(self._site.id)
        if worker is None:
            return

        def take(call: WorkerCall) -> None:
            try:
                answers = call.result()
            except Exception as error:  # noqa: BLE001  # whatever the pack's code raises: nobody waits for it
                log.warning("%s: its nodes' inputs could not be refreshed: %s", self._site.id, error)
            else:
                done(answers)

        worker.call("describe_inputs", [[list(key) for key in keys]]).add_done_callback(take)

    def forget(self, instance: str) -> None:
        self._manager.forget(self._site, instance)


class DeferredServices:
    """`HostServices` over the running ComfyUI."""

    @functools.cached_property
    def _services(self) -> dict[str, Service]:
        from comfy_env_core.comfyui.services.table import host_services  # imports torch, see above

        return host_services()

    def find(self, name: str) -> Service | None:
        return self._services.get(name)
