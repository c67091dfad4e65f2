"""Stand-ins that import the rest of this room when they are first used.

Hooks and builds start at prestartup, before ComfyUI has set CUDA_VISIBLE_DEVICES. Whatever imports `comfy.utils`,
`comfy.model_management` or `server` imports torch, which must not happen before. A node is called, and a worker asks
for something, only long after.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from comfy_env_core.comfyui.joint_memory import JointMemory
from comfy_env_core.comfyui.nodes.node_calls import ClassKey, NodeCall
from comfy_env_core.comfyui.services import folders
from comfy_env_core.comfyui.services.inputs import OpenInputs
from comfy_env_core.sites.runtime import SiteRuntime
from comfy_env_core.wire.values.file_lists import Files

if TYPE_CHECKING:
    from comfy_env_core.comfyui.nodes.calls import SiteCaller
    from comfy_env_core.manager import Manager
    from comfy_env_core.supervision import Service, WorkerCall

log = logging.getLogger("comfy-env")

#: How long a node may go on after ComfyUI's stop button, in seconds, if `COMFY_ENV_INTERRUPT_KILL_S` does not say.
KILL_AFTER_S = 10.0


class DeferredCaller:
    """A `NodeCaller` for one site."""

    def __init__(self, manager: Manager, site: SiteRuntime, memory: JointMemory, inputs: OpenInputs) -> None:
        self._manager = manager
        self._site = site
        self._memory = memory
        self._inputs = inputs
        self._files = folders.HostFiles()

    @functools.cached_property
    def _caller(self) -> SiteCaller:
        from comfy_env_core.comfyui.nodes.calls import SiteCaller  # imports torch, see above

        self._memory.host()
        return SiteCaller(
            _ManagedWorker(self._manager, self._site),
            has_torch=lambda: self._site.has_torch,
            inputs=self._inputs,
            kill_after_s=kill_after_s(),
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
        self, keys: Sequence[ClassKey], done: Callable[[Sequence[Mapping[str, Any]] | None], None]
    ) -> bool:
        worker = self._manager.workers.running(self._site.id)
        if worker is None:
            return False
        from comfy_env_core.supervision import WorkerError  # there is a worker, so this is loaded

        def take(call: WorkerCall) -> None:
            answers = None
            try:
                answers = call.result()
            except Exception as error:  # noqa: BLE001  # whatever the pack's code raises: nobody waits for it
                log.warning("%s: its nodes' inputs could not be refreshed: %s", self._site.id, error)
            done(answers)

        try:
            call = worker.call("describe_inputs", [[list(key) for key in keys]])
        except WorkerError:  # it ended a moment ago
            return False
        call.add_done_callback(take)
        return True

    def remember_inputs(self, inputs: Mapping[ClassKey, Mapping[str, Any]]) -> None:
        self._manager.remember_inputs(self._site, inputs)

    def forget(self, instance: str) -> None:
        self._manager.forget(self._site, instance)


class _ManagedWorker:
    """A `SiteWorker`."""

    def __init__(self, manager: Manager, site: SiteRuntime) -> None:
        self._manager = manager
        self._site = site

    def is_running(self) -> bool:
        return self._manager.workers.running(self._site.id) is not None

    def start(self) -> None:
        self._manager.call(self._site, "ping", []).result()

    def run(self, request: Mapping[str, Any]) -> WorkerCall:
        return self._manager.run(self._site, request)


class DeferredServices:
    """`HostServices` over the running ComfyUI. `inputs`: those of the calls under way."""

    def __init__(self) -> None:
        self.inputs = OpenInputs()
        self.folders = folders.Folders()

    @functools.cached_property
    def _services(self) -> dict[str, Service]:
        from comfy_env_core.comfyui.services.table import host_services  # imports torch, see above

        return host_services(self.inputs, self.folders)

    def find(self, name: str) -> Service | None:
        return self._services.get(name)


def kill_after_s(environ: Mapping[str, str] = os.environ) -> float:
    """`COMFY_ENV_INTERRUPT_KILL_S`; a value that is no positive number is said and counts as the default."""
    text = environ.get("COMFY_ENV_INTERRUPT_KILL_S", "").strip()
    try:
        seconds = float(text) if text else KILL_AFTER_S
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        log.error("COMFY_ENV_INTERRUPT_KILL_S=%r is no number of seconds; using %g.", text, KILL_AFTER_S)
        return KILL_AFTER_S
    return seconds
