"""Builds one pack's environment anew: `python -m chaos.rebuild_program CUSTOM_NODES`; prints each step it comes to."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from comfy_env_core.building.engines.choosing import EngineChooser
from comfy_env_core.building.job_snapshot import JobSnapshot
from comfy_env_core.building.jobs import Builder
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.discovery import host_skips, scan
from comfy_env_core.environments.store import Store
from comfy_env_core.sites.planning import Planner


def tell(snapshot: JobSnapshot) -> None:
    phase = snapshot.phase.value if snapshot.phase else ""
    print(snapshot.state.value, phase, snapshot.text, flush=True)


def main(custom_nodes: Path) -> int:
    store, settings = Store.default(), UserSettings.gather(os.environ, Path.home())
    found = scan([custom_nodes], host_skips(disable_all=False, whitelist=()))
    (site,) = found.sites
    plan = Planner(None, lambda: settings).plan(site, found.nested(site))
    builder = Builder(store, EngineChooser(store, settings).choose, [tell])
    error = builder.submit(plan, [site.directory], rebuild=True).wait().error
    builder.shutdown()
    if error is not None:
        print(f"{error.cause.value}: {error}", flush=True)
    return 1 if error is not None else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
