"""An engine for tests: a real child process fills the prefix, no network, no package manager.

Also runnable, as the second process in tests of two: `python fake_engine.py STORE CONFIG SECONDS [rebuild]`.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]

from comfy_env_core.building.commands import run_logged
from comfy_env_core.building.engines import BuiltEnvironment, Package
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.host_python import HostPython
from comfy_env_core.building.jobs import Builder
from comfy_env_core.building.plan import BuildPlan, plan_build
from comfy_env_core.building.platform import Platform
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.config import HostNeed, parse_env
from comfy_env_core.discovery import HostUse
from comfy_env_core.environments.store import Store, Workspace
from comfy_env_core.processes import clean_environment

#: Fills `argv[1]`: a venv, one module per name in `argv[3:]`, and a grandchild that goes on writing for `argv[2]` s.
_FILLING = """
import os, pathlib, subprocess, sys, time, venv
prefix, seconds, names = pathlib.Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
venv.EnvBuilder(symlinks=True).create(prefix)
(prefix.parents[2] / "child.pid").write_text(str(os.getpid()))
(site,) = prefix.glob("lib/python*/site-packages")
for name in names:
    module = name.replace("-", "_")
    (site / f"{module}.py").write_text(f"NAME = {name!r}\\n")
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n")
    (info / "RECORD").write_text(f"{module}.py,,\\n{module}-1.0.dist-info/METADATA,,\\n")
    print("unpacked", name, flush=True)
writing = "import pathlib,sys,time\\nfor i in range(int(float(sys.argv[2])*20)):\\n" \
          " pathlib.Path(sys.argv[1],f'part{i}').write_text('x'); time.sleep(0.05)"
subprocess.run([sys.executable, "-c", writing, str(prefix), str(seconds)], check=True)
"""


@dataclasses.dataclass
class FakeEngine:
    """Takes `seconds` beside the time for a venv; `break_modules` get a module that cannot be imported."""

    seconds: float = 0.0
    failure: BuildError | None = None
    break_modules: Mapping[str, str] = dataclasses.field(default_factory=dict)
    leave_out: frozenset[str] = frozenset()
    builds: int = 0
    name: str = "fake"
    version: str = "1"

    def provision(self, plan: BuildPlan, workspace: Workspace, report: Report) -> BuiltEnvironment:
        self.builds += 1
        assert not workspace.prefix.exists(), "an engine is promised an empty place"
        report.phase(Phase.INSTALLING, "unpacking")
        names = [name for name in plan.pypi if name not in self.leave_out]
        with report.pypi_turn():
            completed = run_logged(
                [sys.executable, "-c", _FILLING, workspace.prefix, str(self.seconds), *names],
                env=clean_environment({}, {"PATH": "/usr/bin:/bin"}),
                cwd=workspace.directory,
                report=report,
                timeout_s=60,
            )
        assert completed.returncode == 0, completed.lines
        if self.failure is not None:
            raise self.failure
        for name, text in self.break_modules.items():
            (site,) = workspace.prefix.glob("lib/python*/site-packages")
            (site / f"{name}.py").write_text(text)
        report.packages(len(names), len(names))
        packages = tuple(Package(name, "1.0", "pypi") for name in names)
        return BuiltEnvironment(workspace.prefix, workspace.python, "3", self.name, self.version, packages)


def make_plan(config: Path) -> BuildPlan:
    """The plan for a file, on a machine that is the same in every test."""
    return plan_build(
        parse_env(config.read_bytes(), config),
        platform=Platform("linux-64", glibc="2.36"),
        host=HostPython("3.11", Path("/python"), Path("/python"), None, {}),
        host_use=HostUse(HostNeed.NONE, imports_torch=False, evidence=()),
        comfyui_requirements=(),
        settings=UserSettings(),
    )


def write_config(directory: Path, *names: str) -> Path:
    path = directory / "comfy-env.toml"
    path.write_text("[pypi-dependencies]\n" + "".join(f'{name} = "*"\n' for name in names))
    return path


def broken(message: str = "it broke") -> BuildError:
    return BuildError(BuildCause.CONFLICT, message, "Change something.")


def main() -> int:
    store, config, seconds = Store(Path(sys.argv[1])), Path(sys.argv[2]), float(sys.argv[3])
    rebuild = sys.argv[4:] == ["rebuild"]
    engine = FakeEngine(seconds)
    print("ready", flush=True)
    sys.stdin.readline()
    builder = Builder(
        store, lambda report: engine, [lambda snapshot: print(snapshot.state.value, flush=True)]
    )
    end = builder.submit(make_plan(config), rebuild=rebuild).wait(60)
    print(f"built {engine.builds}", flush=True)
    return 0 if end.error is None else 1


if __name__ == "__main__":
    sys.exit(main())
