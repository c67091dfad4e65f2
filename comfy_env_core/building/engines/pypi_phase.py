"""The PyPI part of an embedded build: resolve into a lock file, install exactly that, and look whether it fits."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from comfy_env_core.building.commands import Completed
from comfy_env_core.building.disk_space import check_downloads
from comfy_env_core.building.engines.cache_repair import cached_names, without_half_downloads
from comfy_env_core.building.engines.conda_stubs import write_stubs
from comfy_env_core.building.engines.pylock import pylock_text, read_pylock
from comfy_env_core.building.engines.uv import Uv
from comfy_env_core.building.engines.uv_failures import conda_conflict, explain_compile, explain_install
from comfy_env_core.building.engines.uv_project import UvProject, uv_project
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.fetching import Fetcher
from comfy_env_core.building.locks.fitting import LEFT_OUT, NOT_TOGETHER, is_all_there, pinned
from comfy_env_core.building.locks.locating import located
from comfy_env_core.building.locks.model import PypiPackage
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.building.requirements import normalised_name
from comfy_env_core.building.site_packages import dist_infos
from comfy_env_core.config import Requirement
from comfy_env_core.environments.store import Workspace


@dataclasses.dataclass(frozen=True)
class PypiPhase:
    """One build's PyPI part. `python` is the prefix's interpreter; `python_version` in full.

    `from_conda`: the prefix came from conda packages, whose distributions must not be replaced. `target`: options of
    uv that name another platform to resolve for.
    """

    uv: Uv
    plan: BuildPlan
    workspace: Workspace
    python: Path
    python_version: str
    from_conda: bool
    report: Report
    target: tuple[str, ...] = ()

    def install(self, added: Mapping[str, Requirement]) -> tuple[PypiPackage, ...]:
        """Installs the plan's PyPI packages and returns exactly what. Raises BuildError with its cause.

        `added`: further requirements. Leaves `pyproject.toml` and `pylock.toml` in the workspace.
        """
        project = uv_project(self.plan, added=added)
        if not project.lines and not (self.plan.lock and self.plan.lock.pypi):
            return ()
        with self.report.pypi_turn(), without_half_downloads(self.uv.cache_dir):
            provided = self._provided()
            packages = tuple(
                dataclasses.replace(package, index=package.index or project.index_of(package))
                for package in self._wanted(project, provided, added)
                if package.name not in provided
            )
            if not packages:
                return ()
            self._install(packages, project)
            return packages

    def _wanted(
        self, project: UvProject, provided: Mapping[str, str], added: Mapping[str, Requirement]
    ) -> tuple[PypiPackage, ...]:
        """The packages of the lock, of the lock and the resolver, or of the resolver alone."""
        lock = self.plan.lock
        if lock is None:
            return self.resolve(project, provided)
        fetcher = Fetcher(self.uv.settings, check=self.report.check)
        base = self.plan.spec.path.parent
        held = {package.name: package for package in located(lock.pypi, base, self.uv.settings, fetcher)}
        if is_all_there(self.plan):
            return tuple(held.values())
        try:
            found = self.resolve(uv_project(pinned(self.plan), added=added), provided)
        except BuildError as error:
            if error.cause not in NOT_TOGETHER:
                raise
            self.report.log(f"{error} {LEFT_OUT}")
            return self.resolve(project, provided)
        return tuple(held.get(package.name, package) for package in found)

    def _provided(self) -> dict[str, str]:
        """Distributions that are in the prefix already (conda's): name → version."""
        if not self.from_conda:
            return {}
        completed = self._run(
            "pip", "list", "--python", self.python, "--format", "json", "-q", on_line=_ignore
        )
        if completed.returncode != 0:
            raise self._unexpected("Listing the conda packages' distributions", completed)
        text = "".join(line for line in completed.lines if line.startswith("["))
        return {normalised_name(entry["name"]): entry["version"] for entry in json.loads(text)}

    def resolve(
        self, project: UvProject, provided: Mapping[str, str], preferred: Mapping[str, str] | None = None
    ) -> tuple[PypiPackage, ...]:
        """What fulfils the project beside `provided`, distributions (name → version) that count as they are.

        `preferred`: the version to take of a package if it is needed. Raises BuildError with its cause.
        """
        conflict = conda_conflict(project, provided)
        if conflict is not None:
            raise conflict
        # What is there already in a version that fits need not exist on PyPI under that name.
        project = project.without(provided.keys())
        if not project.lines:
            return ()
        self.report.phase(Phase.RESOLVING, f"{len(project.lines)} PyPI requirements")
        directory = self.workspace.directory
        text = project.pyproject(self.plan.environment_id, self.python_version)
        (directory / "pyproject.toml").write_text(text, encoding="utf-8")
        arguments = [
            *self._beside(provided, preferred or {}),
            *_written("--overrides", project.overrides, directory),
        ]
        completed = self._run(
            *("pip", "compile", "-q", "--format", "pylock.toml", "-o", "pylock.toml", "--python"),
            self.python,
            *(*self.target, *project.resolver_options, *project.options, "pyproject.toml"),
            *arguments,
            extra=project.environment,
        )
        if completed.returncode != 0:
            raise explain_compile(self, project, completed)
        check_downloads(directory / "pylock.toml", cached_names(self.uv.cache_dir))
        found = read_pylock(directory / "pylock.toml")
        return tuple(package for package in found if package.name not in provided)

    def _beside(self, provided: Mapping[str, str], preferred: Mapping[str, str]) -> list[str | Path]:
        """Options that make both count. An empty version stands for a directory, which has none."""
        versions = {**preferred, **provided}
        lines = [f"{name}=={version}" for name, version in versions.items() if version]
        options = _written("--constraints", lines, self.workspace.directory)
        if provided:
            stubs = self.workspace.directory / "conda-stubs"
            write_stubs(stubs, provided)
            options += ["--find-links", stubs]
        return options

    def _install(self, packages: Sequence[PypiPackage], project: UvProject) -> None:
        (self.workspace.directory / "pylock.toml").write_text(pylock_text(packages), encoding="utf-8")
        self.report.phase(Phase.INSTALLING, f"{len(packages)} PyPI packages")
        completed = self._run(
            *("pip", "install", "--no-deps", *project.options, "-r", "pylock.toml", "--python"),
            self.python,
            extra=project.environment,
            report=CountingReport(self.report, self.workspace.prefix, len(packages)),
        )
        if completed.returncode != 0:
            raise explain_install(self, packages, completed)
        self.report.packages(len(packages), len(packages))
        if self._run("pip", "check", "--python", self.python).returncode != 0:
            # Overrides and some conda packages contradict their own metadata; whether it works, the import test says.
            self.report.log(
                "Some packages say they do not fit together (see above); the import test decides."
            )

    def _run(
        self,
        *arguments: str | Path,
        extra: Mapping[str, str] | None = None,
        report: Report | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Completed:
        directory = self.workspace.directory
        return self.uv.run(
            arguments, report=report or self.report, cwd=directory, extra=extra, on_line=on_line
        )

    def _unexpected(self, what: str, completed: Completed) -> BuildError:
        return BuildError(
            BuildCause.INTERNAL,
            f"{what} in {str(self.workspace.prefix)!r} failed: uv ended with {completed.returncode}.",
            "Build again; if it stays, report this with the log.",
            tail=completed.lines[-20:],
        )


class CountingReport:
    """Counts installed distributions while uv runs: it says nothing per package until all of them are prepared."""

    _INTERVAL_S = 0.5

    def __init__(self, report: Report, prefix: Path, total: int) -> None:
        self._report = report
        self._prefix = prefix
        self._total = total
        self._before = self._count()
        self._looked_at = 0.0
        self.phase, self.packages = report.phase, report.packages
        self.log, self.percent, self.pypi_turn = report.log, report.percent, report.pypi_turn
        report.packages(0, total)

    def check(self) -> None:
        self._report.check()
        now = time.monotonic()
        if now - self._looked_at >= self._INTERVAL_S:
            self._looked_at = now
            self._report.packages(min(self._count() - self._before, self._total), self._total)

    def _count(self) -> int:
        return len(dist_infos(self._prefix))


def _ignore(line: str) -> None:
    """For commands whose output is data, not news."""


def _written(option: str, lines: Sequence[str], directory: Path) -> list[str | Path]:
    """The option with a file that holds these lines; nothing where there are none."""
    if not lines:
        return []
    path = directory / f"{option.removeprefix('--')}.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return [option, path]
