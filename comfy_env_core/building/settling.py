"""The last look at a plan before an engine gets it: what only the network can tell is asked now, once.

A plan is made without the network, so that its id is the same whether a server answers or not. It says "torch from the
index for CUDA 12.8" and "flash-attn for that torch"; here this becomes an index that answers, and files with checksums.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from comfy_env_core.building.cuda_wheel_choice import settle_cuda_wheels
from comfy_env_core.building.engines.contract import BuiltEnvironment, Engine
from comfy_env_core.building.engines.reachability import Reachability
from comfy_env_core.building.fetching import Fetcher
from comfy_env_core.building.locks.fitting import is_all_there
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.building.torch_sources import TorchSources
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.environments.atomic import write_atomically
from comfy_env_core.environments.store import Workspace


def settle(plan: BuildPlan, settings: UserSettings, reachability: Reachability, report: Report) -> BuildPlan:
    """The plan with every index and file settled; what was decided goes to the log, and into the plan's notes.

    Raises BuildError: NETWORK, NO_SUCH_PACKAGE or NO_MATCHING_WHEEL.
    """
    if is_all_there(plan):
        return plan  # built from a lock alone
    fetcher = Fetcher(settings, check=report.check)
    settled = plan
    if plan.cuda_wheels is not None:
        report.phase(Phase.RESOLVING, f"CUDA wheels of {', '.join(plan.cuda_wheels.names)}")
        settled = settle_cuda_wheels(plan, plan.cuda_wheels, settings, fetcher)
    if settled.torch_pins:
        report.phase(Phase.RESOLVING, "where torch comes from")
        settled = TorchSources(settled, settings, reachability, fetcher, report.check).settle()
    for note in settled.notes[len(plan.notes) :]:
        report.log(f"note: {note}")
    return settled


@dataclasses.dataclass(frozen=True, eq=False)
class SettlingEngine:
    """An engine that is given settled plans. Its manifest shows them: construction wrote the plan as it was made."""

    engine: Engine
    settings: UserSettings
    reachability: Reachability

    @property
    def name(self) -> str:
        return self.engine.name

    @property
    def version(self) -> str:
        return self.engine.version

    def provision(self, plan: BuildPlan, workspace: Workspace, report: Report) -> BuiltEnvironment:
        """See `Engine.provision`."""
        settled = settle(plan, self.settings, self.reachability, report)
        if settled is not plan:
            # Private, because index URLs may hold credentials.
            write_atomically(workspace.manifest_path, settled.manifest().encode(), mode=0o600)
        return self.engine.provision(settled, workspace, report)

    def forget(self, names: Sequence[str], report: Report) -> None:
        """See `Engine.forget`."""
        self.engine.forget(names, report)
