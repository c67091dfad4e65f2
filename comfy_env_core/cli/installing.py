"""Building from a terminal: with progress, until everything asked for is ready or failed."""

from __future__ import annotations

import dataclasses
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from comfy_env_core.building.errors import BuildError
from comfy_env_core.building.job import Job
from comfy_env_core.cli.context import Context
from comfy_env_core.cli.exit_codes import FAILED, FINE
from comfy_env_core.cli.progress import shown
from comfy_env_core.doctor.beside import missing
from comfy_env_core.environments.states import SiteState
from comfy_env_core.manager import Manager
from comfy_env_core.sites.failure import failure_of
from comfy_env_core.sites.runtime import SiteRuntime
from comfy_env_core.sites.status import SiteStatus

log = logging.getLogger("comfy-env")

#: A wait without a limit cannot be interrupted on Windows.
_POLL_S = 0.5
_SETTLING_S = 0.05


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How it ended for each site that was asked for."""

    sites: tuple[SiteStatus, ...]
    elapsed_s: float

    @property
    def failed(self) -> tuple[SiteStatus, ...]:
        """Those that are not ready, and those whose rebuild failed although the earlier build goes on serving."""
        return tuple(
            site for site in self.sites if site.state is not SiteState.READY or site.failure is not None
        )

    @property
    def exit_code(self) -> int:
        return FAILED if self.failed else FINE

    def as_json(self) -> dict[str, Any]:
        """`{"sites": [as in GET /comfy-env/status], "elapsed_s"}`."""
        return {"sites": [site.as_json() for site in self.sites], "elapsed_s": round(self.elapsed_s, 1)}

    def tell(self, context: Context) -> int:
        """Says how it ended, as text or as JSON, and returns the exit code."""
        if context.wants_json:
            context.print_json(self.as_json())
        else:
            for line in self.lines():
                context.say(line)
        return self.exit_code

    def lines(self) -> list[str]:
        ready = len(self.sites) - len(self.failed)
        told = [f"{ready} ready, {len(self.failed)} failed, {self.elapsed_s:.0f} s"]
        return told + [f"  {site.id}: {site.failure or site.state.value}" for site in self.failed]


def build(manager: Manager, site_ids: Sequence[str], stream: TextIO = sys.stderr) -> Outcome:
    """Builds and describes what is not ready of these sites.

    Progress goes to `stream`, which is that of the log. Ends as ComfyUI's own start does: nothing half-built is ever
    taken for ready.
    """
    began = time.monotonic()
    chosen = [manager.sites[site_id] for site_id in site_ids]
    with shown(manager, site_ids, stream):
        manager.allow_workers()
        manager.start()
        manager.prepare(chosen)
        while not all(runtime.wait_until_settled(_POLL_S) for runtime in chosen):
            pass
    _tell_missing(manager, chosen)
    return Outcome(tuple(runtime.status() for runtime in chosen), time.monotonic() - began)


def rebuild(manager: Manager, site_ids: Sequence[str], stream: TextIO = sys.stderr) -> Outcome:
    """Builds the environments of these sites anew, also those that are done, and describes their nodes there.

    Raises BuildError for a file that cannot become an environment, before anything is built.
    """
    began = time.monotonic()
    chosen = [manager.sites[site_id] for site_id in site_ids]
    with shown(manager, site_ids, stream):
        manager.allow_workers()
        manager.start()
        jobs = manager.upkeep.rebuild(chosen)
        errors = {job.environment_id: _error_of(job) for job in jobs}
        built = [runtime for runtime in chosen if _error_for(runtime, errors) is None]
        # Not before: the nodes would be described in the environment that is about to be replaced.
        manager.prepare(built)
        while not all(map(_is_settled, built)):
            time.sleep(_SETTLING_S)
    return Outcome(tuple(_rebuilt(runtime, errors) for runtime in chosen), time.monotonic() - began)


def _tell_missing(manager: Manager, chosen: Sequence[SiteRuntime]) -> None:
    """What the packs ask for beside environments and lack: a build installs none of it, and nodes fail without."""
    packs = dict.fromkeys(runtime.site.pack for runtime in chosen)
    for finding in missing(manager.scan, tuple(packs)):
        log.warning("%s. %s", finding.text, finding.remedy)


def _error_of(job: Job) -> BuildError | None:
    """Waits for its end."""
    while True:
        snapshot = job.wait(_POLL_S)
        if snapshot.has_ended:
            return snapshot.error


def _error_for(runtime: SiteRuntime, errors: Mapping[str, BuildError | None]) -> BuildError | None:
    return errors.get(runtime.environment.id) if runtime.environment is not None else None


def _is_settled(runtime: SiteRuntime) -> bool:
    """Whether its nodes were imported in the build that serves now, or cannot be."""
    if runtime.state is SiteState.FAILED:
        return True
    environment = runtime.environment
    is_described = environment is not None and runtime.was_described_in(environment.current())
    return is_described and runtime.state is SiteState.READY


def _rebuilt(runtime: SiteRuntime, errors: Mapping[str, BuildError | None]) -> SiteStatus:
    """One that could not be rebuilt has failed, although an earlier build may go on serving."""
    status, error = runtime.status(), _error_for(runtime, errors)
    return (
        status if error is None else dataclasses.replace(status, failure=failure_of(error, status.log_path))
    )
