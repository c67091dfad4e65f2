"""Builds and sites told in log lines: what is under way, how far, how long, where the log is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from comfy_env_core.environments.states import EnvironmentState, SiteState
from comfy_env_core.sites.status import SiteStatus

if TYPE_CHECKING:
    from comfy_env_core.building.jobs import JobSnapshot

#: A running phase is told again after this time, so that a long download is seen to be alive.
HEARTBEAT_S = 10.0


class Narrator:
    """Listens to a manager. `names` maps an environment id to the packs that wait for it."""

    def __init__(self, log: logging.Logger, names: Callable[[str], str]) -> None:
        self._log = log
        self._names = names
        self._lock = threading.Lock()
        self._told: dict[str, tuple[tuple[object, ...], float]] = {}
        self._sites: dict[str, tuple[object, ...]] = {}

    def on_job(self, job: JobSnapshot) -> None:
        if job.state in (EnvironmentState.DONE, EnvironmentState.QUEUED, EnvironmentState.MISSING):
            return
        if job.state in (EnvironmentState.FAILED, EnvironmentState.CANCELLED):
            return  # told by `on_site`, with the pack's name
        key = (job.state, job.phase)
        with self._lock:
            last_key, last_s = self._told.get(job.id, ((), 0.0))
            if key == last_key and job.elapsed_s - last_s < HEARTBEAT_S:
                return
            self._told[job.id] = (key, job.elapsed_s)
        self._log.info("%s", self._building_line(job, is_first=not last_key))

    def on_worker(self, site_id: str) -> None:
        pass

    def on_site(self, site: SiteStatus) -> None:
        key = (site.state, site.failure, site.notice)
        with self._lock:
            previous = self._sites.get(site.id)
            self._sites[site.id] = key
        if previous == key or (previous is None and site.state is SiteState.READY):
            return  # ready from the start: a hundred such packs are one line of the summary
        if site.state is SiteState.READY:
            nodes = f"{len(site.nodes)} node{'s' if len(site.nodes) != 1 else ''}"
            self._log.info("%s: ready, %s (environment %s)", site.id, nodes, site.environment_id)
        elif site.failure is not None:
            self._log.error("%s: failed. %s", site.id, site.failure)
        elif site.notice is not None:
            self._log.warning("%s: %s", site.id, site.notice)
        if site.left_out_text is not None and site.state in (SiteState.READY, SiteState.FAILED):
            self._log.warning("%s: %s", site.id, site.left_out_text)

    def _building_line(self, job: JobSnapshot, *, is_first: bool) -> str:
        names = self._names(job.environment_id)
        if is_first:
            return f"{names}: building its environment {job.environment_id}; log: {job.log_path}"
        phase = job.phase.value if job.phase is not None else job.state.value
        text = f": {job.text}" if job.text else ""
        far = f", {job.percent:.0f} %" if job.percent is not None else ""
        if job.packages_total:
            far = f", {job.packages_done} of {job.packages_total} packages"
        return f"{names}: {phase}{text}{far}, {job.elapsed_s:.0f} s"
