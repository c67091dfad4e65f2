"""Building sites, and building them anew, as works: they end when all of these are ready or failed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, TypedDict

from comfy_env_core.api.standing import doing
from comfy_env_core.api.work import Work, WorkCancelled, WorkFailed
from comfy_env_core.building.errors import BuildCause
from comfy_env_core.environments.states import SiteState
from comfy_env_core.manager import Manager
from comfy_env_core.sites.failure import SiteFailure, failure_of
from comfy_env_core.sites.runtime import SiteRuntime

if TYPE_CHECKING:
    from comfy_env_core.building.jobs import Job

#: How often a page hears how far a build is, beside the build's own events.
_LOOK_S = 0.25


class Settled(TypedDict):
    """The result of building.

    - `sites`: id → state.
    - `later`: ids of those whose worker works, or whose objects ComfyUI holds: they go on in the build before until it
      is started anew.
    """

    sites: dict[str, str]
    later: list[str]


class SiteBuilds:
    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    def build(self, work: Work, runtimes: Sequence[SiteRuntime]) -> Settled:
        """Builds and describes them by what their files say now. Raises WorkFailed and WorkCancelled."""
        work.on_cancel(lambda: self._cancel(runtimes))
        self._manager.upkeep.build(runtimes)
        self._follow(work, runtimes)
        return self._outcome(runtimes, {})

    def rebuild(self, work: Work, runtimes: Sequence[SiteRuntime]) -> Settled:
        """Builds the environments that their files ask for now once more, also those that are done.

        Those serve meanwhile, and go on if it fails. All their sites move to the new builds. Raises WorkFailed,
        WorkCancelled, and BuildError for a file that cannot become an environment, before anything is built.
        """
        work.report("looking at what the files ask for")
        jobs = self._manager.upkeep.rebuild(runtimes)
        for job in jobs:
            work.on_cancel(job.cancel)
        for job in jobs:
            while not job.wait(_LOOK_S).has_ended:
                work.report(*_progress(self._manager, [job.environment_id for job in jobs], runtimes))
        users = {
            runtime.id: runtime for job in jobs for runtime in self._manager.users_of(job.environment_id)
        }
        affected = list({**{runtime.id: runtime for runtime in runtimes}, **users}.values())
        moving = [runtime for runtime in affected if self._renewed(runtime, jobs)]
        self._follow(work, moving)
        return self._outcome(affected, _failures(affected, jobs))

    def _renewed(self, runtime: SiteRuntime, jobs: Sequence[Job]) -> bool:
        """Whether its environment was built anew, and it is moving there."""
        is_built = any(
            runtime.environment is not None
            and job.environment_id == runtime.environment.id
            and job.snapshot().error is None
            for job in jobs
        )
        if is_built:
            self._manager.upkeep.renew(runtime)
        return is_built

    def _follow(self, work: Work, runtimes: Sequence[SiteRuntime]) -> None:
        """Returns when each of them was ready or failed once: what people do with one meanwhile is not waited for.

        Raises WorkCancelled when nothing is left that could be cancelled: the import of nodes goes on.
        """
        pending = [runtime for runtime in runtimes if not _is_settled(runtime)]
        while pending:
            if work.cancel_asked:  # also what began after that was asked
                self._cancel(pending)
                if all(runtime.state is SiteState.DESCRIBING for runtime in pending):
                    raise WorkCancelled
            ids = [runtime.environment.id for runtime in pending if runtime.environment is not None]
            work.report(*_progress(self._manager, ids, runtimes))
            pending[0].wait_until_settled(_LOOK_S)
            pending = [runtime for runtime in pending if not _is_settled(runtime)]

    def _cancel(self, runtimes: Sequence[SiteRuntime]) -> None:
        for id_ in {runtime.environment.id for runtime in runtimes if runtime.environment is not None}:
            self._manager.upkeep.cancel_here(id_)

    def _outcome(self, runtimes: Sequence[SiteRuntime], failures: dict[str, SiteFailure]) -> Settled:
        """Raises for the first that failed for another reason than being cancelled, else for one that was cancelled."""
        result: Settled = {
            "sites": {runtime.id: runtime.state.value for runtime in runtimes},
            "later": [runtime.id for runtime in runtimes if _goes_on(runtime)],
        }
        for runtime in runtimes:
            if runtime.failure is not None:
                failures.setdefault(runtime.id, runtime.failure)
        told = {id_: one for id_, one in failures.items() if one.cause != BuildCause.CANCELLED.value}
        for id_, failure in told.items():
            message = failure.message if len(runtimes) == 1 else f"{id_}: {failure.message}"
            raise WorkFailed(failure.cause, message, failure.remedy, result)
        if failures:
            raise WorkCancelled
        return result


def _failures(runtimes: Sequence[SiteRuntime], jobs: Sequence[Job]) -> dict[str, SiteFailure]:
    """Of sites whose environment could not be built anew, although an earlier build may go on serving."""
    errors = {job.environment_id: job.snapshot().error for job in jobs}
    found = {}
    for runtime in runtimes:
        error = errors.get(runtime.environment.id) if runtime.environment is not None else None
        if error is not None:
            found[runtime.id] = failure_of(error, error.log_path)
    return found


def _is_settled(runtime: SiteRuntime) -> bool:
    return runtime.state in (SiteState.READY, SiteState.FAILED)


def _goes_on(runtime: SiteRuntime) -> bool:
    """Whether its nodes run in an earlier build although there is a newer one."""
    current = runtime.environment.current() if runtime.environment is not None else None
    return runtime.state is SiteState.READY and current is not None and runtime.serving != current


def _progress(
    manager: Manager, environment_ids: Collection[str], runtimes: Sequence[SiteRuntime]
) -> tuple[str, float | None]:
    """What goes on, for people, and how far it is in percent: of one build its phase, of several sites their number."""
    builds = {build.environment_id: build for build in manager.builds() if not build.has_ended}
    build = next((builds[id_] for id_ in environment_ids if id_ in builds), None)
    if build is not None:
        text = doing(build.as_json())
    else:
        states = {runtime.state for runtime in runtimes}
        text = "importing the nodes" if SiteState.DESCRIBING in states else "preparing"
    if len(runtimes) == 1:
        return text, build.percent if build is not None else None
    settled = sum(map(_is_settled, runtimes))
    return f"{settled} of {len(runtimes)}: {text}", 100 * settled / len(runtimes)
