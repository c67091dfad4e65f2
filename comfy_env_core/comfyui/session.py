"""What prestartup started and `__init__.py` goes on with.

ComfyUI runs the two as scripts that know nothing of each other, so the link between them is the one piece of
module-level state in this package.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from comfy_env_core.comfyui.imports.presence import Presence
from comfy_env_core.environments.states import SiteState
from comfy_env_core.manager import Manager
from comfy_env_core.sites.status import SiteStatus

if TYPE_CHECKING:
    from comfy_env_core.building.jobs import JobSnapshot
    from comfy_env_core.comfyui.imports.strays import Strays
    from comfy_env_core.comfyui.injection import Injector
    from comfy_env_core.comfyui.joint_memory import JointMemory

log = logging.getLogger("comfy-env")


@dataclasses.dataclass
class Session:
    """A manager at work inside a ComfyUI. Listens to it and loads packs anew whose nodes became available."""

    manager: Manager
    presences: Mapping[str, Presence]
    memory: JointMemory
    strays: Strays
    injector: Injector | None = None

    def connect(self, injector: Injector) -> None:
        """ComfyUI's server exists from now on: what became ready before is injected now, the rest when it is."""
        self.injector = injector
        for path in {presence.site.site.pack.path for presence in self.presences.values()}:
            self._inject_if_waiting(path)

    def on_job(self, job: JobSnapshot) -> None:
        pass

    def on_worker(self, site_id: str) -> None:
        pass

    def on_site(self, site: SiteStatus) -> None:
        if site.state is SiteState.READY:
            self._inject_if_waiting(self.presences[site.id].site.site.pack.path)
            if self.injector is not None:
                self.injector.tidy_later()

    def _inject_if_waiting(self, pack_path: Path) -> None:
        if self.injector is None:
            return
        waiting = [presence for presence in self._of_pack(pack_path) if presence.is_outdated()]
        if waiting:
            self.injector.inject(pack_path, waiting).add_done_callback(_log_failure)

    def _of_pack(self, pack_path: Path) -> Iterable[Presence]:
        return (p for p in self.presences.values() if p.site.site.pack.path == pack_path)


def _log_failure(outcome: Future[None]) -> None:
    if outcome.cancelled():
        return
    error = outcome.exception()
    if error is not None:
        log.error("Nodes that became available could not be loaded: %s", error, exc_info=error)


class SessionHolder:
    """Holds the session of this process, once."""

    def __init__(self) -> None:
        self.session: Session | None = None


holder = SessionHolder()
