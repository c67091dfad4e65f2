"""An engine whose builds go as a test wants them to go: how long, what they say, where they wait, how they end.

What it fills are real, small environments: their interpreter starts, sees msgpack, and imports what the file asked for.
"""

from __future__ import annotations

import dataclasses
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgpack

from comfy_env_core.building.engines.contract import BuiltEnvironment, Package
from comfy_env_core.building.errors import BuildError
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.environments.store import Workspace

_TICK_S = 0.05


@dataclasses.dataclass
class Course:
    """How one environment's builds go. Change it between builds.

    - `seconds`: how long installing takes, beside the moment that filling takes anyway. `lines`: written to the log
      meanwhile, evenly. `packages`: how many are counted up.
    - `gate`: installing does not end before it is set. `failure`: raised at the end.
    """

    seconds: float = 0.0
    lines: int = 0
    packages: int = 0
    gate: threading.Event | None = None
    failure: BuildError | None = None


class ScriptedEngine:
    """`courses`: name of the pack → how its builds go; the others go at once. `builds`: the packs built, in order."""

    name = "scripted"
    version = "1"

    def __init__(self) -> None:
        self.courses: dict[str, Course] = {}
        self.builds: list[str] = []

    def provision(self, plan: BuildPlan, workspace: Workspace, report: Report) -> BuiltEnvironment:
        pack = plan.spec.path.parent.name
        self.builds.append(pack)
        course = self.courses.get(pack, Course())
        report.phase(Phase.RESOLVING, "resolving")
        report.check()
        report.phase(Phase.INSTALLING, "installing")
        _install(course, report)
        if course.failure is not None:
            raise course.failure
        return fill(workspace, plan.pypi)

    def forget(self, names: Sequence[str], report: Report) -> None:
        """It caches nothing."""


def fill(workspace: Workspace, names: Mapping[str, object]) -> BuiltEnvironment:
    """A virtual environment of the Python that runs us, with one package with an empty module for each name."""
    site_packages = _virtual_environment(workspace.prefix)
    for name in names:
        if name != "msgpack":
            _write_package(site_packages, name)
    packages = [Package("msgpack", "1.1.0", "pypi"), Package("python", _version(), "conda")]
    packages += [Package(name, "1.0", "pypi") for name in names if name != "msgpack"]
    return BuiltEnvironment(
        workspace.prefix, workspace.python, _version(), ScriptedEngine.name, "1", tuple(packages)
    )


def _virtual_environment(prefix: Path) -> Path:
    """What the module `venv` would make, without the time that its activation scripts take; its site-packages."""
    home = Path(sys.executable).resolve()
    site_packages = prefix / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    site_packages.mkdir(parents=True)
    (prefix / "bin").mkdir()
    (prefix / "bin" / "python").symlink_to(home)
    (prefix / "pyvenv.cfg").write_text(f"home = {home.parent}\nversion = {_version()}\n")
    (site_packages / "msgpack.pth").write_text(f"{Path(msgpack.__file__).parents[1]}\n")
    return site_packages


def _write_package(site_packages: Path, name: str) -> None:
    module, info = name.replace("-", "_"), site_packages / f"{name.replace('-', '_')}-1.0.dist-info"
    (site_packages / f"{module}.py").touch()
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_text(f"{module}.py,,\n{info.name}/METADATA,,\n")


def _install(course: Course, report: Report) -> None:
    """Spends the time of the course, telling how far it is; a cancelled build leaves at the next tick."""
    began, written = time.monotonic(), 0
    while True:
        report.check()
        passed = min(1.0, (time.monotonic() - began) / course.seconds) if course.seconds else 1.0
        for number in range(written, int(passed * course.lines)):
            report.log(
                f"line {number + 1} of {course.lines}: unpacked some-package-{number}-1.0-py3-none-any.whl"
            )
        written = max(written, int(passed * course.lines))
        report.packages(int(passed * course.packages), course.packages)
        if passed == 1.0 and (course.gate is None or course.gate.is_set()):
            return
        if course.gate is not None and passed == 1.0:
            course.gate.wait(_TICK_S)
        else:
            time.sleep(_TICK_S)


def _version() -> str:
    return ".".join(map(str, sys.version_info[:3]))
