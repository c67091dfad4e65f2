"""Building from a terminal: with progress, until everything asked for is ready or failed."""

from __future__ import annotations

import dataclasses
import logging
import sys
import time
from typing import Any, TextIO

from comfy_env_core.cli.exit_codes import FAILED, FINE
from comfy_env_core.cli.progress import shown
from comfy_env_core.environments.states import SiteState
from comfy_env_core.manager import Manager
from comfy_env_core.sites.runtime import SiteStatus

log = logging.getLogger("comfy-env")

#: A wait without a limit cannot be interrupted on Windows.
_POLL_S = 0.5


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How it ended for each site that was asked for."""

    sites: tuple[SiteStatus, ...]
    elapsed_s: float

    @property
    def failed(self) -> tuple[SiteStatus, ...]:
        return tuple(site for site in self.sites if site.state is not SiteState.READY)

    @property
    def exit_code(self) -> int:
        return FAILED if self.failed else FINE

    def as_json(self) -> dict[str, Any]:
        """`{"sites": [as in GET /comfy-env/status], "elapsed_s"}`."""
        return {"sites": [site.as_json() for site in self.sites], "elapsed_s": round(self.elapsed_s, 1)}

    def lines(self) -> list[str]:
        ready = len(self.sites) - len(self.failed)
        told = [f"{ready} ready, {len(self.failed)} failed, {self.elapsed_s:.0f} s"]
        return told + [f"  {site.id}: {site.failure or site.state.value}" for site in self.failed]


def build(manager: Manager, stream: TextIO = sys.stderr) -> Outcome:
    """Builds and describes what is not ready.

    Progress goes to `stream`, which is that of the log. Ends as ComfyUI's own start does: nothing half-built is ever
    taken for ready.
    """
    began = time.monotonic()
    with shown(manager, stream):
        manager.allow_workers()
        manager.start()
        manager.prepare()
        while not manager.wait(_POLL_S):
            pass
    return Outcome(tuple(site.status() for site in manager.sites.values()), time.monotonic() - began)
