"""The engine that gives a whole workspace to the external pixi program."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from comfy_env_core.building.commands import Completed, run_logged
from comfy_env_core.building.engines.contract import BuiltEnvironment, Package
from comfy_env_core.building.engines.pixi_binary import PixiBinary
from comfy_env_core.building.engines.pixi_failures import explain
from comfy_env_core.building.engines.pixi_progress import PixiProgress
from comfy_env_core.building.engines.reachability import Reachability
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.fetching import Fetcher
from comfy_env_core.building.locks.conda_meta import conda_content
from comfy_env_core.building.locks.fitting import LEFT_OUT, NOT_TOGETHER, is_all_there, pinned
from comfy_env_core.building.locks.locating import located
from comfy_env_core.building.locks.model import PypiPackage
from comfy_env_core.building.locks.pixi_lock import pixi_lock_text, pypi_of_pixi_lock
from comfy_env_core.building.locks.recording import record_result
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Report
from comfy_env_core.building.requirements import normalised_name
from comfy_env_core.building.site_packages import dist_infos
from comfy_env_core.building.toml_text import toml_string, toml_value
from comfy_env_core.building.user_settings import DEFAULT_INDEX_URL, UserSettings, without_credentials
from comfy_env_core.environments.atomic import remove_tree, write_atomically
from comfy_env_core.environments.store import Store, Workspace
from comfy_env_core.processes import clean_environment

NAMES_URL = "https://conda-mapping.prefix.dev/compressed-v0/compressed_mapping.json"
_TIMEOUT_S = 3 * 3600.0


class PixiEngine:
    """Fills prefixes with `pixi install`, one workspace per environment."""

    name = "pixi"

    def __init__(
        self, binary: PixiBinary, store: Store, settings: UserSettings, reachability: Reachability
    ) -> None:
        self.version = binary.version
        self._reachability = reachability
        self._binary = binary
        self._store = store
        self._settings = settings

    def provision(self, plan: BuildPlan, workspace: Workspace, report: Report) -> BuiltEnvironment:
        """See `Engine.provision`. Writes the manifest that this pixi reads; `pixi.lock` stays beside it.

        From a lock that names everything pixi installs as it stands; from another one, beside exact versions.
        """
        try:
            completed = self._run(pinned(plan), workspace, report)
        except BuildError as error:
            if plan.lock is None or is_all_there(plan) or error.cause not in NOT_TOGETHER:
                raise
            report.log(f"{error} {LEFT_OUT}")
            _start_over(workspace)
            completed = self._run(dataclasses.replace(plan, lock=None), workspace, report)
        pypi = pypi_of_pixi_lock((workspace.directory / "pixi.lock").read_text(encoding="utf-8"))
        conda = conda_content(workspace.prefix)
        version = next((package.version for package in conda.packages if package.name == "python"), None)
        if version is None:
            raise _no_python_inside(workspace, completed)
        packages = [Package(package.name, package.version, "conda") for package in conda.packages]
        packages += _distributions_of_pypi(workspace.prefix, conda.distributions)
        report.packages(len(packages), len(packages))
        _check_against_lock(plan, pypi)
        record_result(plan, workspace, version, conda.packages, pypi)
        return BuiltEnvironment(
            workspace.prefix, workspace.python, version, self.name, self.version, tuple(packages)
        )

    def forget(self, names: Sequence[str], report: Report) -> None:
        """pixi's cache cannot be cleared of single packages, so all of it goes, once."""
        report.log(f"removing pixi's cache: it holds damaged files of {', '.join(names)}")
        remove_tree(self._store.cache_dir / "pixi")

    def _run(self, plan: BuildPlan, workspace: Workspace, report: Report) -> Completed:
        """pixi's work. Raises BuildError with its cause where it fails."""
        is_frozen = self._write_workspace(plan, workspace, report)
        progress = PixiProgress(
            report, workspace.directory, workspace.prefix, has_lock=is_frozen, wants_pypi=bool(plan.pypi)
        )
        completed = run_logged(
            [*self.command(workspace), *(["--frozen"] if is_frozen else [])],
            env=self.environment(),
            cwd=workspace.directory,
            report=progress,
            timeout_s=_TIMEOUT_S,
            on_line=progress.line,
        )
        if completed.returncode != 0:
            raise explain(plan, workspace, completed, self._settings, report)
        return completed

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

    def _write_workspace(self, plan: BuildPlan, workspace: Workspace, report: Report) -> bool:
        """Writes the manifest, pixi.lock if the plan's lock is everything, and the highest layer of pixi's
        configuration: a user's `detached-environments` would move the prefix, and what only `PIXI_HOME` or
        `PIXI_CONFIG_FILE` led to has to be said again. Returns whether there is a lock.
        """
        configuration = workspace.directory / ".pixi" / "config.toml"
        configuration.parent.mkdir(parents=True, exist_ok=True)
        lines = ["detached-environments = false"]
        if self._settings.conda_mirrors:
            lines.append("[mirrors]")
            mirrors = self._settings.conda_mirrors.items()
            lines += [f"{toml_string(url)} = {toml_value(list(urls))}" for url, urls in mirrors]
        write_atomically(configuration, "".join(f"{line}\n" for line in lines).encode(), mode=0o600)
        has_names = bool(self._settings.conda_mirrors) or self._reachability.answers(NAMES_URL, report.check)
        if not has_names:
            report.log(
                "pixi's table of PyPI's names is out of reach: conda packages count under their own names"
            )
        text = manifest_for(self._binary, plan, self._settings, has_names=has_names)
        write_atomically(workspace.manifest_path, text.encode(), mode=0o600)
        lock = plan.lock
        if lock is None or not is_all_there(plan) or not lock.conda:
            return False
        fetcher = Fetcher(self._settings, check=report.check)
        pypi = located(lock.pypi, plan.spec.path.parent, self._settings, fetcher)
        index = str(plan.pypi_options.get("index-url") or DEFAULT_INDEX_URL)
        text = pixi_lock_text(dataclasses.replace(lock, pypi=pypi), without_credentials(index))
        write_atomically(workspace.directory / "pixi.lock", text.encode())
        return True


def manifest_for(
    binary: PixiBinary, plan: BuildPlan, settings: UserSettings, *, has_names: bool = True
) -> str:
    """The plan in the words of this pixi.

    Wherever it installs from, pixi fetches a table of conda's and PyPI's names from a host of its own, and fails where
    that cannot be reached (prefix-dev/pixi#1764): users of mirrors, and where `has_names` is False, do without.
    """
    own_names = bool(settings.conda_mirrors) or not has_names
    return plan.manifest(rich_platforms=binary.reads_rich_platforms, own_names=own_names)


def _start_over(workspace: Workspace) -> None:
    remove_tree(workspace.directory / ".pixi")
    (workspace.directory / "pixi.lock").unlink(missing_ok=True)


def _check_against_lock(plan: BuildPlan, pypi: Iterable[PypiPackage]) -> None:
    """Where pixi looked for the locked versions itself, their files must be the locked ones."""
    locked = {package.name: package for package in plan.lock.pypi} if plan.lock is not None else {}
    for package in pypi:
        ours = locked.get(package.name)
        if ours is None or ours.version != package.version or not ours.files:
            continue
        wanted = {file.filename: file.sha256 for file in ours.files}
        for file in package.files:
            if file.sha256 != wanted.get(file.filename, file.sha256):
                raise BuildError(
                    BuildCause.CHECKSUM,
                    f"pixi installed {file.filename!r} with sha256 {file.sha256}, and the lock of the pack says "
                    f"{wanted[file.filename]}.",
                )


def _distributions_of_pypi(prefix: Path, of_conda: Collection[str]) -> Iterator[Package]:
    for path in dist_infos(prefix):
        name, _, version = path.stem.partition("-")
        if normalised_name(name) not in of_conda:
            yield Package(normalised_name(name), version, "pypi")


def _no_python_inside(workspace: Workspace, completed: Completed) -> BuildError:
    return BuildError(
        BuildCause.INTERNAL,
        f"pixi reported success, but there is no Python in {str(workspace.prefix)!r}.",
        "Build again; if it stays, report this with the log.",
        tail=completed.tail(),
    )
