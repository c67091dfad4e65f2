"""The engine for machines where no pixi can be had: rattler for conda packages, uv for PyPI, both from PyPI wheels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from comfy_env_core.building.engines.cache_repair import forget
from comfy_env_core.building.engines.conda_phase import (
    NOT_WORTH_A_CHANNEL,
    CondaPhase,
    channel_probe_url,
)
from comfy_env_core.building.engines.contract import BuiltEnvironment, Package
from comfy_env_core.building.engines.engine_packages import (
    EngineTools,
    engine_version,
    ensure_engine_packages,
)
from comfy_env_core.building.engines.integrity import damaged_conda_packages, damaged_distributions
from comfy_env_core.building.engines.interpreter_phase import InterpreterPhase
from comfy_env_core.building.engines.interpreters import Interpreters
from comfy_env_core.building.engines.pypi_phase import PypiPhase
from comfy_env_core.building.engines.reachability import Reachability
from comfy_env_core.building.engines.uv import Uv, managed_pythons
from comfy_env_core.building.engines.uv_project import as_pypi
from comfy_env_core.building.errors import NETWORK_CAUSES, BuildCause, BuildError, DamagedFiles
from comfy_env_core.building.fetching import Fetcher
from comfy_env_core.building.locks.model import CondaPackage
from comfy_env_core.building.locks.recording import record_result
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Report
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.config import Requirement
from comfy_env_core.environments.atomic import remove_tree
from comfy_env_core.environments.store import Store, Workspace

#: Why Python may be taken from this machine where nothing else is wanted of a channel. A wrong file is refused.
_PYTHON_NOT_TO_BE_HAD = NETWORK_CAUSES - {BuildCause.CHECKSUM} | {BuildCause.NO_SUCH_PACKAGE}


class EmbeddedEngine:
    """Fills prefixes with rattler and uv. Serves several builds at once; remembers which servers answer."""

    name = "embedded"

    def __init__(
        self,
        store: Store,
        settings: UserSettings,
        *,
        reachability: Reachability | None = None,
        interpreters: Interpreters | None = None,
    ) -> None:
        self.version = engine_version()
        self._store = store
        self._settings = settings
        self._reachability = reachability or Reachability(settings)
        self._interpreters = interpreters or Interpreters(settings, managed_pythons(store))

    def provision(self, plan: BuildPlan, workspace: Workspace, report: Report) -> BuiltEnvironment:
        """See `Engine.provision`. Causes of its own: NO_CHANNEL, NO_PYTHON.

        What the caches hold of damaged packages is thrown away, once, and fetched anew.
        """
        try:
            built = self._provision(plan, workspace, report)
            damaged = _damaged(workspace.prefix)
            if not damaged:
                return built
            report.log(f"installed from a damaged cache: {', '.join(damaged)}")
        except DamagedFiles as error:
            report.log(error.message)
            damaged = error.names
        self.forget(damaged, report)
        remove_tree(workspace.prefix)
        built = self._provision(plan, workspace, report)
        damaged = _damaged(workspace.prefix)
        if damaged:  # packages that overwrite each other's files look the same: the import test decides
            report.log(f"not as their lists of files say: {', '.join(damaged)}")
        return built

    def forget(self, names: Sequence[str], report: Report) -> None:
        """See `Engine.forget`."""
        forget(names, self._uv(ensure_engine_packages(self._store, self._settings, report)), report)

    def _provision(self, plan: BuildPlan, workspace: Workspace, report: Report) -> BuiltEnvironment:
        channels = {c: channel_probe_url(c, self._settings.conda_mirrors) for c in plan.channels}
        self._reachability.start(channels.values())
        tools = ensure_engine_packages(self._store, self._settings, report)
        workspace.directory.mkdir(parents=True, exist_ok=True)
        report.check()
        if plan.passthrough.get("dev"):
            report.log("[dev] has no effect: building packages from source needs pixi itself")
        silent = [
            channel for channel, url in channels.items() if not self._reachability.answers(url, report.check)
        ]
        if silent:
            report.log(f"no answer from {', '.join(silent)}: the interpreter comes from this machine")
            return self._on_an_interpreter(plan, workspace, tools, silent, report)
        try:
            phase = CondaPhase(plan, workspace.directory, tools, self._store, self._settings, report)
            conda = phase.install(workspace.prefix)
        except BuildError as error:
            if _conda_names(plan) or error.cause not in _PYTHON_NOT_TO_BE_HAD:
                raise
            report.log(f"{error} Only Python was wanted from there: it comes from this machine.")
            remove_tree(workspace.prefix)
            return self._on_an_interpreter(plan, workspace, tools, list(plan.channels), report)
        damaged = damaged_conda_packages(workspace.prefix)
        if "python" in damaged:  # nothing more can be installed with it
            raise DamagedFiles(damaged, f"What the cache holds of {', '.join(damaged)} is damaged.")
        version = next(package.version for package in conda if package.name == "python")
        return self._with_pypi(plan, workspace, self._uv(tools), version, conda, {}, report)

    def _on_an_interpreter(
        self, plan: BuildPlan, workspace: Workspace, tools: EngineTools, silent: list[str], report: Report
    ) -> BuiltEnvironment:
        """A virtual environment on an interpreter of this machine, for plans without real conda packages."""
        needed = _conda_names(plan)
        if needed:
            report.check()
            url = channel_probe_url(silent[0], self._settings.conda_mirrors)
            trouble = Fetcher(self._settings, timeout_s=5.0, check=report.check).trouble(url)
            raise _no_channel(plan, needed, silent, trouble)
        uv = self._uv(tools)
        version = InterpreterPhase(
            uv, plan, workspace, self._interpreters, self._reachability, report
        ).install()
        added = {
            name: as_pypi(plan.conda[name]) for name in ("pip", "setuptools", "wheel") if name in plan.conda
        }
        return self._with_pypi(plan, workspace, uv, version, (), added, report)

    def _with_pypi(
        self,
        plan: BuildPlan,
        workspace: Workspace,
        uv: Uv,
        version: str,
        conda: tuple[CondaPackage, ...],
        added: Mapping[str, Requirement],
        report: Report,
    ) -> BuiltEnvironment:
        phase = PypiPhase(uv, plan, workspace, workspace.python, version, bool(conda), report)
        pypi = phase.install(added)
        record_result(plan, workspace, version, conda, pypi)
        packages = [Package(package.name, package.version, "conda") for package in conda]
        packages += [Package(package.name, package.version, "pypi") for package in pypi]
        return BuiltEnvironment(
            workspace.prefix, workspace.python, version, self.name, self.version, tuple(packages)
        )

    def _uv(self, tools: EngineTools) -> Uv:
        return Uv(tools.uv, self._store, self._settings)


def _damaged(prefix: Path) -> tuple[str, ...]:
    return (*damaged_conda_packages(prefix), *damaged_distributions(prefix))


def _conda_names(plan: BuildPlan) -> list[str]:
    """The conda packages of the plan that nothing but a channel can give."""
    return sorted(set(plan.conda) - NOT_WORTH_A_CHANNEL)


def _no_channel(
    plan: BuildPlan, needed: list[str], silent: list[str], trouble: BuildError | None
) -> BuildError:
    if trouble is not None and trouble.cause in NETWORK_CAUSES - {BuildCause.NETWORK}:
        return BuildError(
            trouble.cause,
            f"{str(plan.spec.path)!r} asks for conda packages ({', '.join(needed)}). {trouble.message}",
            trouble.remedy,
        )
    return BuildError(
        BuildCause.NO_CHANNEL,
        f"{str(plan.spec.path)!r} asks for conda packages ({', '.join(needed)}), and no answer came from "
        f"{', '.join(map(repr, silent))}.",
        "Connect to the internet, or name a mirror of the channel under [mirrors] in pixi's config.toml "
        '("https://conda.anaconda.org/conda-forge" = ["https://mirror/conda-forge"]). PyPI packages of the same name '
        "are not taken in their place: they may hold something else.",
    )
