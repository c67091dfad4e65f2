"""The engine that gives a whole workspace to the external pixi program."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from comfy_env_core.building.commands import Completed, run_logged
from comfy_env_core.building.engines.contract import BuiltEnvironment, Package
from comfy_env_core.building.engines.pixi_binary import PixiBinary
from comfy_env_core.building.engines.pixi_failures import explain
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Phase, Report
from comfy_env_core.building.toml_text import toml_string, toml_value
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.environments.atomic import write_atomically
from comfy_env_core.environments.store import Store, Workspace
from comfy_env_core.processes import clean_environment

_TIMEOUT_S = 3 * 3600.0


class PixiEngine:
    """Fills prefixes with `pixi install`, one workspace per environment."""

    name = "pixi"

    def __init__(self, binary: PixiBinary, store: Store, settings: UserSettings) -> None:
        self.version = binary.version
        self._binary = binary
        self._store = store
        self._settings = settings

    def provision(self, plan: BuildPlan, workspace: Workspace, report: Report) -> BuiltEnvironment:
        """See `Engine.provision`. Writes the manifest that this pixi reads; `pixi.lock` stays beside it."""
        self._write_workspace(plan, workspace)
        report.phase(Phase.RESOLVING, f"pixi {self.version} at work")
        completed = run_logged(
            self.command(workspace),
            env=self.environment(),
            cwd=workspace.directory,
            report=WorkingReport(report, workspace.prefix),
            timeout_s=_TIMEOUT_S,
        )
        if completed.returncode != 0:
            raise explain(plan, workspace, completed, self._settings, report)
        packages = self._packages(workspace, report)
        version = next((p.version for p in packages if p.name == "python"), None)
        if version is None:
            raise _no_python_inside(workspace, completed)
        return BuiltEnvironment(
            workspace.prefix, workspace.python, version, self.name, self.version, packages
        )

    def command(self, workspace: Workspace) -> list[str]:
        """Without a terminal pixi shows no bars; `-v` makes it say at least what it warns of."""
        program, manifest = str(self._binary.path), str(workspace.manifest_path)
        return [program, "install", "--manifest-path", manifest, "--color", "never", "--no-progress", "-v"]

    def environment(self) -> dict[str, str]:
        """The user's `PIXI_*` are gone (PIXI_FROZEN or PIXI_LOCKED would change what we ask for); ours are few."""
        own = {
            "PIXI_CACHE_DIR": str(self._store.cache_dir / "pixi"),
            "PIXI_NO_WRAP": "1",
            "NO_COLOR": "1",
        }
        return clean_environment(self._settings.environ, {**self._settings.pixi_environment(), **own})

    def _write_workspace(self, plan: BuildPlan, workspace: Workspace) -> None:
        """The manifest, and the highest layer of pixi's configuration: a user's `detached-environments` would move
        the prefix, and what only `PIXI_HOME` or `PIXI_CONFIG_FILE` led to has to be said again."""
        configuration = workspace.directory / ".pixi" / "config.toml"
        configuration.parent.mkdir(parents=True, exist_ok=True)
        lines = ["detached-environments = false"]
        if self._settings.conda_mirrors:
            lines.append("[mirrors]")
            mirrors = self._settings.conda_mirrors.items()
            lines += [f"{toml_string(url)} = {toml_value(list(urls))}" for url, urls in mirrors]
        write_atomically(configuration, "".join(f"{line}\n" for line in lines).encode(), mode=0o600)
        text = manifest_for(self._binary, plan, self._settings)
        write_atomically(workspace.manifest_path, text.encode(), mode=0o600)

    def _packages(self, workspace: Workspace, report: Report) -> tuple[Package, ...]:
        """What is in the prefix, read from the records that every installer leaves there, not from pixi's words."""
        conda = [_conda_package(path) for path in sorted((workspace.prefix / "conda-meta").glob("*.json"))]
        of_conda = {name for package, names in conda for name in names}
        pypi = [package for package in _distributions(workspace.prefix) if package.name not in of_conda]
        packages = (*(package for package, _ in conda), *pypi)
        report.packages(len(packages), len(packages))
        return packages


def manifest_for(binary: PixiBinary, plan: BuildPlan, settings: UserSettings) -> str:
    """The plan in the words of this pixi.

    Wherever it installs from, pixi fetches a table of conda's and PyPI's names from a host of its own, which a user of
    mirrors may not reach (prefix-dev/pixi#1764): it is told to do without.
    """
    return plan.manifest(rich_platforms=binary.reads_rich_platforms, own_names=bool(settings.conda_mirrors))


class WorkingReport:
    """Shows that pixi is getting on: it says nothing while it works, so the packages in the prefix are counted."""

    def __init__(self, report: Report, prefix: Path) -> None:
        self._report = report
        self._prefix = prefix
        self._seen = 0
        self.phase, self.packages = report.phase, report.packages
        self.log, self.percent, self.pypi_turn = report.log, report.percent, report.pypi_turn

    def check(self) -> None:
        self._report.check()
        count = sum(1 for _ in (self._prefix / "conda-meta").glob("*.json")) + len(
            _distributions(self._prefix)
        )
        if count != self._seen:
            if self._seen == 0:
                self._report.phase(Phase.INSTALLING, "pixi fills the environment")
            self._seen = count
            self._report.packages(count, 0)


def _conda_package(path: Path) -> tuple[Package, frozenset[str]]:
    """A record of conda-meta, and the names of the distributions among its files."""
    record: Mapping[str, object] = json.loads(path.read_text(encoding="utf-8"))
    files = record.get("files")
    names = frozenset(
        _distribution(Path(str(file)).parent).name
        for file in (files if isinstance(files, list) else [])
        if str(file).endswith((".dist-info/METADATA", ".egg-info/PKG-INFO"))
    )
    return Package(str(record["name"]), str(record["version"]), "conda"), names


def _distributions(prefix: Path) -> list[Package]:
    places = [
        *prefix.glob("lib/python3*/site-packages/*.dist-info"),
        *prefix.glob("Lib/site-packages/*.dist-info"),
    ]
    return [_distribution(path) for path in sorted(places)]


def _distribution(directory: Path) -> Package:
    name, _, version = directory.stem.partition("-")
    return Package(re.sub(r"[-_.]+", "-", name).lower(), version, "pypi")


def _no_python_inside(workspace: Workspace, completed: Completed) -> BuildError:
    return BuildError(
        BuildCause.INTERNAL,
        f"pixi reported success, but there is no Python in {str(workspace.prefix)!r}.",
        "Build again; if it stays, report this with the log.",
        tail=completed.tail(),
    )
