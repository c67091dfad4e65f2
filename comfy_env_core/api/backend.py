"""What the operations work with."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from comfy_env_core.api.clients import NOBODY, Clients
from comfy_env_core.api.refusals import UNKNOWN_ENVIRONMENT, UNKNOWN_SITE
from comfy_env_core.environments.looks import Looks
from comfy_env_core.environments.measuring import StoreMeasuring

if TYPE_CHECKING:
    from comfy_env_core.api.events import EventFeed
    from comfy_env_core.api.work import Works
    from comfy_env_core.environments.store import Environment, Store
    from comfy_env_core.manager import Manager
    from comfy_env_core.sites.runtime import SiteRuntime


@dataclasses.dataclass(frozen=True)
class HostFacts:
    """What only the doorway knows.

    - `listens_remotely`: whether ComfyUI's server can be reached from elsewhere.
    - `recent_log`: gives the end of ComfyUI's own log; None where it keeps none.
    """

    comfyui_version: str | None = None
    listens_remotely: bool = False
    recent_log: Callable[[], str] | None = None


@dataclasses.dataclass(frozen=True)
class Backend:
    """One per server. Looks up what requests name: no text of a request becomes a path or an argument.

    - `looks`, `measuring`: what is known of environments, and what they take on the disk, kept between requests.
    """

    manager: Manager
    feed: EventFeed
    works: Works
    facts: HostFacts = HostFacts()
    environ: Mapping[str, str] = dataclasses.field(default_factory=lambda: os.environ)
    clients: Clients = NOBODY
    looks: Looks = dataclasses.field(default_factory=Looks)
    measuring: StoreMeasuring = dataclasses.field(default_factory=StoreMeasuring)

    @property
    def store(self) -> Store:
        return self.manager.store

    def site(self, site_id: str) -> SiteRuntime:
        """Raises Refused for one that the scan did not find."""
        runtime = self.manager.sites.get(site_id)
        if runtime is None:
            raise UNKNOWN_SITE.because(
                f"There is no isolated directory {site_id!r}.",
                "GET /comfy-env/status lists them under `sites`. ComfyUI finds packs when it starts: restart it after "
                "adding or removing one.",
            )
        return runtime

    def environment(self, environment_id: str) -> Environment:
        """One that is in the store, or that a site asks for. Raises Refused for any other."""
        known = {id_ for runtime in self.manager.sites.values() for id_ in runtime.environment_ids()}
        try:
            environment = self.store.environment(environment_id)
        except ValueError:
            environment = None
        if environment is None or not (environment_id in known or environment.directory.is_dir()):
            raise UNKNOWN_ENVIRONMENT.because(
                f"There is no environment {environment_id!r}.", "GET /comfy-env/environments lists them."
            )
        return environment
