"""The Python of an embedded build that no channel gives: a virtual environment on an interpreter of this machine."""

from __future__ import annotations

import dataclasses
import shutil
import sys

from comfy_env_core.building.engines.interpreters import Interpreter, Interpreters
from comfy_env_core.building.engines.reachability import Reachability
from comfy_env_core.building.engines.uv import Uv
from comfy_env_core.building.engines.version_range import PythonWanted
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.environments.store import Workspace

PYTHON_RELEASES_URL = "https://github.com/astral-sh/python-build-standalone/releases"


@dataclasses.dataclass(frozen=True)
class InterpreterPhase:
    """One build's Python, found here or downloaded by uv."""

    uv: Uv
    plan: BuildPlan
    workspace: Workspace
    interpreters: Interpreters
    reachability: Reachability
    report: Report

    def install(self) -> str:
        """Fills the prefix and returns the Python's version in full. Raises BuildError(NO_PYTHON)."""
        found = self._interpreter()
        self.report.phase(Phase.INSTALLING, f"Python {found.version} ({found.where})")
        self.report.log(f"Python {found.version} from {found.path} ({found.where})")
        completed = self.uv.run(
            ["venv", "-q", "--no-project", "--python", found.path, self.workspace.prefix],
            report=self.report,
            cwd=self.workspace.directory,
        )
        if completed.returncode != 0:
            raise BuildError(
                BuildCause.NO_PYTHON,
                f"Making a virtual environment of {str(found.path)!r} failed (uv: {completed.returncode}).",
                "Name another interpreter with COMFY_ENV_PYTHON, then build again.",
                tail=completed.tail(),
            )
        if sys.platform == "win32":
            _copy_to_the_root(self.workspace)
        return found.version

    def _interpreter(self) -> Interpreter:
        """The first interpreter that will do; one that uv downloads if there is none and its server answers."""
        self.report.phase(Phase.RESOLVING, f"a Python {self.plan.python}")
        wanted = PythonWanted(self.plan.python)
        found, tried = self.interpreters.find(wanted)
        if found is None and self._download():
            found, tried = self.interpreters.find(wanted)
        if found is None:
            raise _no_python(self.plan, tried)
        return found

    def _download(self) -> bool:
        has_mirror = self.uv.settings.python_mirror is not None
        if not has_mirror and not self.reachability.answers(PYTHON_RELEASES_URL, self.report.check):
            return False
        self.report.phase(Phase.DOWNLOADING, f"Python {self.plan.python}")
        completed = self.uv.run(
            ["python", "install", "--no-bin", self.plan.python],
            report=self.report,
            cwd=self.workspace.directory,
            extra={"UV_PYTHON_DOWNLOADS": "manual"},
        )
        return completed.returncode == 0


def _copy_to_the_root(workspace: Workspace) -> None:
    """Windows: puts the interpreter where conda has it, so that workers find it there whichever engine ran.

    A virtual environment's launcher looks for `pyvenv.cfg` beside itself before it looks one directory up.
    """
    for name in ("python.exe", "pythonw.exe"):
        source = workspace.prefix / "Scripts" / name
        if source.is_file():
            shutil.copy2(source, workspace.prefix / name)


def _no_python(plan: BuildPlan, tried: tuple[str, ...]) -> BuildError:
    return BuildError(
        BuildCause.NO_PYTHON,
        f"Finding a Python {plan.python} for {str(plan.spec.path)!r} failed: no conda channel and no download of "
        f"interpreters answers, and of {len(tried)} interpreters on this machine none fits.",
        f"Install Python {plan.python} (or name one with COMFY_ENV_PYTHON), or set a mirror: [mirrors] in pixi's "
        "config.toml for conda packages, UV_PYTHON_INSTALL_MIRROR for interpreters. Then build again.",
        tail=tried,
    )
