"""What people ask for while sites use their environments: build, rebuild, cancel, roll back, delete."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from comfy_env_core.environments.states import SiteState
from comfy_env_core.environments.store import Environment, Store
from comfy_env_core.sites.preparation import Preparation
from comfy_env_core.sites.runtime import SiteRuntime
from comfy_env_core.sites.workers import SiteWorkers

if TYPE_CHECKING:
    from comfy_env_core.building.jobs import Job
    from comfy_env_core.building.plan import BuildPlan

log = logging.getLogger("comfy-env")

#: The priority of what somebody clicked, or named on a command line; what a start builds has 0.
ASKED_FOR = 10


class Upkeep:
    """Owns nothing. `users`: the sites that use an environment. `tell`: told of every site that changed."""

    def __init__(
        self,
        store: Store,
        preparation: Preparation,
        workers: SiteWorkers,
        users: Callable[[str], Iterable[SiteRuntime]],
        tell: Callable[[SiteRuntime], None],
    ) -> None:
        self._store = store
        self._preparation = preparation
        self._workers = workers
        self._users = users
        self._tell = tell
        self._changing = threading.Lock()

    def build(self, runtimes: Iterable[SiteRuntime], priority: int = ASKED_FOR) -> None:
        """Builds and describes those that are not ready, by what their files say now. Returns before that is done."""
        for runtime in runtimes:
            self._preparation.again(runtime, priority)

    def cancel(self, environment_id: str) -> bool:
        """Ends the build of this environment that runs or waits in this process, else the one of another process.

        Returns at once, False when there is none. Raises OSError where another process cannot be asked.
        """
        from comfy_env_core.building.running_job import ask_to_cancel  # noqa: PLC0415  # not at a warm start

        if self.cancel_here(environment_id):
            return True
        return ask_to_cancel(self._store.environment(environment_id)) is not None

    def cancel_here(self, environment_id: str) -> bool:
        """The same for this process alone."""
        for job in self._preparation.jobs():
            if job.environment_id == environment_id and not job.snapshot().has_ended:
                job.cancel()
                return True
        return False

    def rebuild(self, runtimes: Iterable[SiteRuntime], priority: int = ASKED_FOR) -> tuple[Job, ...]:
        """Builds the environments of these sites anew by what their files say now, also those that are done.

        An environment that is done serves until then.

        One job an environment; all its sites are renewed when it is done. Raises BuildError for a file that cannot
        become an environment, before anything is built.
        """
        plans: dict[str, tuple[BuildPlan, list[Path]]] = {}
        for runtime in runtimes:
            self._preparation.read_again(runtime)
            plan = self._preparation.plan(runtime)
            _, directories = plans.setdefault(plan.environment_id, (plan, []))
            directories.append(runtime.site.directory)
        submit = self._preparation.builder.submit
        jobs = tuple(
            submit(plan, directories, priority, rebuild=True) for plan, directories in plans.values()
        )
        for job in jobs:
            name = f"rebuild {job.environment_id}"
            threading.Thread(target=self._follow, args=(job,), name=name, daemon=True).start()
        return jobs

    def roll_back(self, environment_id: str) -> None:
        """Returns to the generation before, in which the nodes are described anew; a second time undoes it.

        Raises `NothingToRollBackTo`, `EnvironmentBusy` while it is built, OSError when the disk refuses.
        """
        from comfy_env_core.environments.removal import locked  # noqa: PLC0415  # not at a warm start

        with locked(self._store, environment_id, "rolled back"):
            self._store.environment(environment_id).roll_back()
        for runtime in self._users(environment_id):
            self.renew(runtime)

    def delete(self, environment_id: str) -> None:
        """Deletes an environment; its sites are unbuilt then. Raises as `take_out`."""
        from comfy_env_core.environments.atomic import remove_trash  # noqa: PLC0415  # not at a warm start

        self.take_out(environment_id)
        remove_trash(self._store.root)

    def take_out(self, environment_id: str) -> None:
        """The part of deleting that does not take long: the environment is gone, and its sites are unbuilt.

        `remove_trash` of the store gives the disk its room back. Raises `EnvironmentBusy` while it is built, while
        nodes run in it, and while another process uses it; OSError when the disk refuses.
        """
        from comfy_env_core.environments.removal import EnvironmentBusy, take_out  # noqa: PLC0415

        with self._changing:
            environment, users = self._store.environment(environment_id), tuple(self._users(environment_id))
            for runtime in users:
                if self._is_at_work(runtime, environment):
                    raise EnvironmentBusy(
                        f"Environment {environment_id!r} was not deleted: nodes of {runtime.id!r} run or are prepared "
                        "in it, or ComfyUI's cache holds their objects.",
                        'Wait for them, or use "Unload Models and Execution Cache"; then try again.',
                    )
            take_out(self._store, environment_id)
            for runtime in users:
                if runtime.serving is not None and runtime.serving.environment_id == environment_id:
                    runtime.serving = None
                if runtime.state is not SiteState.UNBUILT and runtime.serving is None:
                    self._move(runtime, SiteState.UNBUILT)

    def renew(self, runtime: SiteRuntime) -> None:
        """Lets the site's nodes run in the current generation of its environment, and describes them there.

        A worker that works, or whose objects ComfyUI holds, goes on in its own until it is started anew: the site stays
        ready then, and its `serving` what it was. Nothing happens to a site that is renewed already.
        """
        with self._changing:
            self._renew(runtime)

    def _renew(self, runtime: SiteRuntime) -> None:
        serving = runtime.serving
        environment = runtime.environment or (Environment.of(serving) if serving is not None else None)
        current = environment.current() if environment is not None else None
        if current is None or runtime.state in (SiteState.BUILDING, SiteState.DESCRIBING):
            return
        if runtime.state is SiteState.FAILED:
            self._move(runtime, SiteState.UNBUILT)
        elif runtime.state in (SiteState.READY, SiteState.STALE):
            if current == serving:
                return
            if not self._workers.end_if_idle(runtime.id, "its environment was rebuilt or rolled back"):
                log.info("%s: its worker goes on in the earlier build until it is started anew.", runtime.id)
                return
            if serving is not None and serving.environment_id == current.environment_id:
                runtime.serving = current
            if runtime.state is SiteState.READY:
                self._move(runtime, SiteState.STALE)
        self._preparation.later(runtime)

    def _is_at_work(self, runtime: SiteRuntime, environment: Environment) -> bool:
        """Whether the site is being prepared, or has a worker in the environment that cannot be ended now."""
        if runtime.state in (SiteState.BUILDING, SiteState.DESCRIBING):
            return True
        worker = self._workers.running(runtime.id)
        if worker is None or environment.directory not in worker.spec.prefix.parents:
            return False
        return not self._workers.end_if_idle(runtime.id, "its environment is deleted")

    def _follow(self, job: Job) -> None:
        if job.wait().error is None:
            for runtime in self._users(job.environment_id):
                self.renew(runtime)

    def _move(self, runtime: SiteRuntime, state: SiteState) -> None:
        runtime.move(state)
        self._tell(runtime)
