"""What the disk knows of each site and its environment, without building or starting anything."""

from __future__ import annotations

import dataclasses

from comfy_env_core.building.errors import BuildError
from comfy_env_core.building.install_log import read_outcome
from comfy_env_core.building.locks import LOCK_NAME
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.running_job import RunningJob, read_running_job
from comfy_env_core.cli.context import Context
from comfy_env_core.discovery import Site
from comfy_env_core.environments.states import SiteState
from comfy_env_core.environments.store import Environment, Workspace
from comfy_env_core.sites.failure import SiteFailure, failure_of
from comfy_env_core.sites.runtime import SiteRuntime


@dataclasses.dataclass(frozen=True)
class KnownSite:
    """- `environment`: the one that the site's file asks for now, None if the file cannot become one.
    - `serving`: the generation that its nodes would run in now, None before the first build.
    - `failure`: why there is none, as far as that is known without building.
    - `running`: the build under way, in whatever process. `last_build`: how the last one failed, None if it did not.
    - `nodes`: as the last description has them. `lock_note`: why the lock that the pack ships is not used.
    """

    site: Site
    state: SiteState
    environment: Environment | None
    serving: Workspace | None
    failure: SiteFailure | None
    running: RunningJob | None
    last_build: str | None
    nodes: tuple[str, ...]
    lock_note: str | None

    @property
    def is_built(self) -> bool:
        return self.environment is not None and self.environment.is_done()


def look(context: Context) -> tuple[KnownSite, ...]:
    """All sites of the scan. Plans those whose environment no earlier start remembers; asks no network."""
    return tuple(_known(context, runtime) for runtime in context.assessed.sites.values())


def _known(context: Context, runtime: SiteRuntime) -> KnownSite:
    environment, failure, lock_note = runtime.environment, runtime.failure, None
    if failure is None and (environment is None or (runtime.site.directory / LOCK_NAME).exists()):
        try:
            plan = context.plan(runtime.site)
        except BuildError as error:
            failure = failure_of(error, None)
        else:
            environment = context.store.environment(plan.environment_id)
            lock_note = plan.unused_lock
    is_done = environment is not None and environment.is_done()
    serving = environment.current() if environment is not None and is_done else runtime.serving
    return KnownSite(
        site=runtime.site,
        state=runtime.state,
        environment=environment,
        serving=serving,
        failure=failure,
        running=read_running_job(environment) if environment is not None else None,
        last_build=read_outcome(environment.log_path) if environment is not None and not is_done else None,
        nodes=runtime.record.node_names() if runtime.record is not None else (),
        lock_note=lock_note,
    )


def plan_or_none(context: Context, site: Site) -> BuildPlan | None:
    """None for a file that cannot become an environment here; `look` tells why."""
    try:
        return context.plan(site) if site.spec is not None else None
    except BuildError:
        return None
