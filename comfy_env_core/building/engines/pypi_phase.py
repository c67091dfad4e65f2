"""The PyPI part of an embedded build: resolve into a lock file, install exactly that, and look whether it fits."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from comfy_env_core.building.commands import Completed
from comfy_env_core.building.engines.conda_stubs import write_stubs
from comfy_env_core.building.engines.contract import Package
from comfy_env_core.building.engines.pylock import drop_packages, locked_packages, name_indexes
from comfy_env_core.building.engines.uv import Uv
from comfy_env_core.building.engines.uv_failures import conda_conflict, explain_compile, explain_install
from comfy_env_core.building.engines.uv_project import UvProject, uv_project
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.building.requirements import normalised_name
from comfy_env_core.config import Requirement
from comfy_env_core.environments.store import Workspace


@dataclasses.dataclass(frozen=True)
class PypiPhase:
    """One build's PyPI part. `python` is the prefix's interpreter; `python_version` in full; `from_conda`: the prefix
    came from conda packages, whose distributions must not be replaced."""

    uv: Uv
    plan: BuildPlan
    workspace: Workspace
    python: Path
    python_version: str
    from_conda: bool
    report: Report

    def install(self, added: Mapping[str, Requirement]) -> tuple[Package, ...]:
        """Installs the plan's PyPI packages and returns what the lock named. Raises BuildError with its cause.

        Leaves `pyproject.toml` and `pylock.toml` in the workspace.
        """
        project = uv_project(self.plan, added=added)
        if not project.lines:
            return ()
        with self.report.pypi_turn():
            provided = self._provided()
            conflict = conda_conflict(project, provided)
            if conflict is not None:
                raise conflict
            # What conda brings in a version that fits is there already, and need not exist on PyPI under that name.
            project = project.without(provided.keys())
            if not project.lines:
                return ()
            self._compile(project, provided)
            return self._install(project)

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

    def _compile(self, project: UvProject, provided: Mapping[str, str]) -> None:
        self.report.phase(Phase.RESOLVING, f"{len(project.lines)} PyPI requirements")
        directory = self.workspace.directory
        text = project.pyproject(self.plan.environment_id, self.python_version)
        (directory / "pyproject.toml").write_text(text, encoding="utf-8")
        arguments: list[str | Path] = ["pip", "compile", "--python", self.python, *project.options]
        if provided:
            constraints = directory / "conda-constraints.txt"
            constraints.write_text("".join(f"{n}=={v}\n" for n, v in provided.items()), encoding="utf-8")
            write_stubs(directory / "conda-stubs", provided)
            arguments += ["--constraints", constraints, "--find-links", directory / "conda-stubs"]
        if project.overrides:
            overrides = directory / "overrides.txt"
            overrides.write_text("".join(f"{line}\n" for line in project.overrides), encoding="utf-8")
            arguments += ["--overrides", overrides]
        arguments += ["--format", "pylock.toml", "-q", "-o", "pylock.toml", "pyproject.toml"]
        completed = self._run(*arguments, extra=project.environment)
        if completed.returncode != 0:
            raise explain_compile(self, project, completed)
        drop_packages(directory / "pylock.toml", provided.keys())
        name_indexes(directory / "pylock.toml", project.index_of)

    def _install(self, project: UvProject) -> tuple[Package, ...]:
        wanted = locked_packages(self.workspace.directory / "pylock.toml")
        self.report.phase(Phase.INSTALLING, f"{len(wanted)} PyPI packages")
        counting = CountingReport(self.report, self.workspace.prefix, len(wanted))
        arguments: list[str | Path] = [
            "pip",
            "install",
            "--python",
            self.python,
            "--no-deps",
            *_install_options(project.options),
        ]
        completed = self._run(*arguments, "-r", "pylock.toml", extra=project.environment, report=counting)
        if completed.returncode != 0:
            raise explain_install(self, wanted, completed)
        self.report.packages(len(wanted), len(wanted))
        if self._run("pip", "check", "--python", self.python).returncode != 0:
            # Overrides and some conda packages contradict their own metadata; whether it works, the import test says.
            self.report.log(
                "Some packages say they do not fit together (see above); the import test decides."
            )
        return tuple(Package(package.name, package.version, "pypi") for package in wanted)

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
        self.log, self.pypi_turn = report.log, report.pypi_turn
        report.packages(0, total)

    def check(self) -> None:
        self._report.check()
        now = time.monotonic()
        if now - self._looked_at >= self._INTERVAL_S:
            self._looked_at = now
            self._report.packages(min(self._count() - self._before, self._total), self._total)

    def _count(self) -> int:
        patterns = ("lib/python3*/site-packages/*.dist-info", "Lib/site-packages/*.dist-info")
        return sum(1 for pattern in patterns for _ in self._prefix.glob(pattern))


def _ignore(line: str) -> None:
    """For commands whose output is data, not news."""


def _install_options(options: tuple[str, ...]) -> tuple[str, ...]:
    """The options that also concern installing; a lock leaves nothing to a strategy."""
    kept: list[str] = []
    pairs = iter(options)
    for option in pairs:
        if option == "--no-build-isolation":
            kept.append(option)
        elif option in ("--prerelease", "--index-strategy"):
            next(pairs)
        else:
            kept += [option, next(pairs)]
    return tuple(kept)
