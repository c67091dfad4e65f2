"""Trying again what the network broke. Nothing else gets better by waiting: no name, no checksum, no full disk.

uv and pixi repeat single requests by themselves, within seconds; this is for a connection that is away for longer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from comfy_env_core.building.engines.contract import BuiltEnvironment, Engine
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.environments.atomic import remove_tree
from comfy_env_core.environments.workspace import Workspace

#: Between the attempts: a router that reconnects takes seconds, and nobody wants to watch a minute for bad news.
PAUSES_S = (2.0, 8.0)
_CHECK_EVERY_S = 0.1


def provision(
    engine: Engine,
    plan: BuildPlan,
    workspace: Workspace,
    report: Report,
    *,
    pauses_s: Sequence[float] = PAUSES_S,
) -> BuiltEnvironment:
    """As `Engine.provision`, tried once more after each pause as long as the network is to blame.

    Each attempt finds an empty place. Raises as `Engine.provision`, and OSError where a half-filled prefix resists.
    """
    attempts = len(pauses_s) + 1
    for number, pause_s in enumerate(pauses_s, 2):
        try:
            return engine.provision(plan, workspace, report)
        except BuildError as error:
            if error.cause is not BuildCause.NETWORK:
                raise
            report.log(error.message)
        remove_tree(workspace.prefix)
        report.phase(Phase.WAITING, f"the network failed; attempt {number} of {attempts} in {pause_s:g} s")
        _pause(pause_s, report)
    try:
        return engine.provision(plan, workspace, report)
    except BuildError as error:
        if error.cause is not BuildCause.NETWORK:
            raise
        message = f"{error.message} {attempts} attempts were made."
        raise BuildError(error.cause, message, error.remedy, error.log_path, error.tail) from error


def _pause(seconds: float, report: Report) -> None:
    deadline = time.monotonic() + seconds
    while (left_s := deadline - time.monotonic()) > 0:
        report.check()
        time.sleep(min(left_s, _CHECK_EVERY_S))
