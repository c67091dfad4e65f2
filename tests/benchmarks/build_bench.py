"""What the benchmarks of builds share: a store, packs, a builder, and the tools' own commands to be run alone."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any  # the arguments of `spawn`, handed on
from unittest import mock

from comfy_env_core.building.engines.choosing import EngineChooser
from comfy_env_core.building.job_snapshot import JobSnapshot
from comfy_env_core.building.jobs import Builder
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.discovery import Scan, Site, host_skips, scan
from comfy_env_core.environments.store import Environment, Store
from comfy_env_core.processes import spawn
from comfy_env_core.sites.planning import Planner


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured value and the most that it may be, both in `unit`; without a target it is only told."""

    what: str
    value: float
    unit: str
    target: float | None = None

    @property
    def is_held(self) -> bool:
        return self.target is None or self.value <= self.target

    def __str__(self) -> str:
        target = "" if self.target is None else f"   target at most {self.target:g} {self.unit}"
        missed = "" if self.is_held else "   MISSED"
        return f"{self.what:52} {self.value:9.2f} {self.unit:3}{target}{missed}"


@dataclasses.dataclass(frozen=True)
class ToolRun:
    """One command, as a build started it. `is_test`: the import test, which is the environment's own interpreter."""

    command: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path | None
    is_test: bool


class Bench:
    """Packs in a directory of their own, and a builder over a store that is empty at first."""

    def __init__(self, directory: Path, configs: Mapping[str, str]) -> None:
        self.directory = directory
        self.store = Store(directory / "store")
        for name, config in configs.items():
            pack = directory / "custom_nodes" / name
            pack.mkdir(parents=True)
            (pack / "comfy-env.toml").write_text(config)
            (pack / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
        # The same engine wherever this runs, and no waiting for servers that a machine may not reach.
        environ = {**os.environ, "COMFY_ENV_ENGINE": "embedded"}
        self.settings = UserSettings.gather(environ, Path.home())
        self.planner = Planner(None, lambda: self.settings, environ)
        self.found: Scan = scan([directory / "custom_nodes"], host_skips(disable_all=False, whitelist=()))
        self.builder = Builder(self.store, EngineChooser(self.store, self.settings).choose)

    def site(self, name: str) -> Site:
        return next(site for site in self.found.sites if site.pack.path.name == name)

    def plan(self, name: str) -> BuildPlan:
        site = self.site(name)
        return self.planner.plan(site, self.found.nested(site))

    def environment(self, name: str) -> Environment:
        return self.store.environment(self.plan(name).environment_id)

    def build(self, name: str) -> JobSnapshot:
        """Plans and builds one pack's environment, as the manager does."""
        outcome = self.builder.submit(self.plan(name), [self.site(name).directory]).wait()
        if outcome.error is not None:
            raise SystemExit(f"the build of {name} failed: {outcome.error}")
        return outcome

    def forget_environment(self, name: str) -> None:
        shutil.rmtree(self.environment(name).directory)

    def forget_downloads(self) -> None:
        shutil.rmtree(self.store.cache_dir, ignore_errors=True)

    def tools_of(self, name: str) -> list[ToolRun]:
        """Builds it, and returns all commands that this ran."""
        with recorded() as runs:
            self.build(name)
        return runs

    def run_alone(self, name: str, runs: list[ToolRun]) -> tuple[float, float]:
        """(of uv and rattler, of the import test) the seconds that the same commands take by themselves, into the same
        place, emptied."""
        workspace = self.environment(name).current()
        assert workspace is not None
        lock = workspace.directory / "pylock.toml"
        as_built = lock.read_bytes() if lock.exists() else None
        shutil.rmtree(workspace.prefix)
        seconds = {False: 0.0, True: 0.0}
        for run in runs:
            seconds[run.is_test] += timed(lambda run=run: _run(run))  # type: ignore[misc]
            if as_built is not None:
                lock.write_bytes(as_built)  # the build adds to the lock what uv then installs from
        return seconds[False], seconds[True]


@contextlib.contextmanager
def recorded() -> Iterator[list[ToolRun]]:
    """The commands that builds start in the block."""
    runs: list[ToolRun] = []

    def spawn_and_note(command: tuple[str, ...], **options: Any) -> Any:
        is_test = any("import_probe" in part for part in command)
        runs.append(ToolRun(command, dict(options["env"]), options["cwd"], is_test))
        return spawn(command, **options)

    with mock.patch("comfy_env_core.building.commands.spawn", spawn_and_note):
        yield runs


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def disk_bytes(directory: Path) -> int:
    """What the tree takes on the disk, each file once however many links it has."""
    seen: dict[tuple[int, int], int] = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            status = os.lstat(os.path.join(folder, name))
            seen[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(seen.values())


def _run(run: ToolRun) -> None:
    """With the priority that it has in a build, or whatever else runs on the machine would be measured."""
    nice = ("nice", "-n", "10") if os.name == "posix" else ()
    subprocess.run([*nice, *run.command], env=dict(run.env), cwd=run.cwd, check=True, capture_output=True)
