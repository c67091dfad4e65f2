"""The command line with an engine that needs no network: `python scripted_cli.py status …`.

SCRIPTED_SECONDS: how long a build takes beside the venv that it makes. A package called "missing" fails.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgpack

from comfy_env_core import assembly
from comfy_env_core.building.engines.contract import BuiltEnvironment, Package
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.job_snapshot import JobSnapshot
from comfy_env_core.building.jobs import Builder
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.cli import program
from comfy_env_core.environments.store import Store, Workspace

STEPS = 20


class ScriptedEngine:
    """Makes a venv that sees the packages of the Python that runs the tests."""

    name = "scripted"
    version = "1"

    def provision(self, plan: BuildPlan, workspace: Workspace, report: Report) -> BuiltEnvironment:
        if "missing" in plan.pypi:
            raise BuildError(
                BuildCause.NO_SUCH_PACKAGE, "There is no package 'missing'.", "Correct the name."
            )
        report.phase(Phase.INSTALLING, "unpacking")
        for step in range(STEPS):
            report.packages(step, STEPS)
            report.check()
            time.sleep(float(os.environ.get("SCRIPTED_SECONDS", "0")) / STEPS)
        venv.EnvBuilder(symlinks=True).create(workspace.prefix)
        (site_packages,) = workspace.prefix.glob("lib/python*/site-packages")
        (site_packages / "tests.pth").write_text(str(Path(msgpack.__file__).parents[1]))
        packages = (Package("msgpack", "1", "pypi"),)
        return BuiltEnvironment(workspace.prefix, workspace.python, "3", self.name, self.version, packages)


def make_builder(store: Store, settings: UserSettings, tell: Callable[[JobSnapshot], None]) -> Builder:
    return Builder(store, lambda report: ScriptedEngine(), [tell])


if __name__ == "__main__":
    assembly._make_builder = make_builder  # type: ignore[assignment]
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    sys.exit(program.main(sys.argv[1:]))
