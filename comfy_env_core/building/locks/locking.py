"""Makes locks: what a file asks for, resolved for a platform that need not be this one, with every checksum."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from comfy_env_core.building.engines.conda_phase import NOT_WORTH_A_CHANNEL, CondaPhase, channel_probe_url
from comfy_env_core.building.engines.engine_packages import ensure_engine_packages
from comfy_env_core.building.engines.pypi_phase import PypiPhase
from comfy_env_core.building.engines.reachability import Reachability
from comfy_env_core.building.engines.uv import Uv
from comfy_env_core.building.engines.uv_project import UvProject, as_pypi, uv_project
from comfy_env_core.building.engines.version_range import PythonWanted
from comfy_env_core.building.errors import REMEDIES, BuildCause, BuildError
from comfy_env_core.building.locks.fitting import NOT_TOGETHER, following
from comfy_env_core.building.locks.locating import has_own_index
from comfy_env_core.building.locks.model import CondaPackage, IndexedFile, LockedEnvironment, PypiPackage
from comfy_env_core.building.locks.recording import cuda_need, without_secrets
from comfy_env_core.building.plan import BuildPlan
from comfy_env_core.building.report import Report
from comfy_env_core.building.requirements import exact_version, normalised_name, pypi_name_of_conda, range_of
from comfy_env_core.building.user_settings import UserSettings
from comfy_env_core.environments.store import Store, Workspace

PYPI_FILES = "https://files.pythonhosted.org"
#: PyPI's own place of a file, which mirrors keep: two and two and sixty digits of its BLAKE2 checksum.
_PYPI_PLACE = re.compile(r"/packages/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}/[^/]+$")
_OLDEST_GLIBC = "2.28"  # pixi's default; RHEL 8, Debian 10 and newer
_OLDEST_MACOS = "13.0"  # pixi's default


@dataclasses.dataclass(frozen=True)
class Target:
    """A platform to lock for. `uv`: its name in uv's words; `offers`: what its machines have at least."""

    name: str
    uv: str
    offers: Mapping[str, str]

    @property
    def virtual_packages(self) -> dict[str, str]:
        """The offers as conda's solver takes them."""
        system = {"__win": "0"} if self.name.startswith("win") else {"__unix": "0"}
        if self.name.startswith("linux"):
            system["__linux"] = "4.18"
        words = {"glibc": "__glibc", "macos": "__osx", "cuda": "__cuda"}
        return {**system, **{words[name]: version for name, version in self.offers.items()}}


def target_of(plan: BuildPlan) -> Target:
    """The plan's platform; `[system-requirements]` of the file may ask for newer machines than usual."""
    asked = plan.passthrough.get("system-requirements", {})
    name = plan.platform.name
    cuda = {"cuda": str(asked["cuda"])} if "cuda" in asked else {}
    if plan.platform.is_linux:
        libc = asked.get("libc", _OLDEST_GLIBC)
        glibc = str(libc.get("version", _OLDEST_GLIBC) if isinstance(libc, Mapping) else libc)
        processor = "x86_64" if name == "linux-64" else "aarch64"
        uv = f"{processor}-manylinux_{glibc.replace('.', '_')}"
        return Target(name, uv, {"glibc": glibc, **cuda})
    if plan.platform.is_macos:
        processor = "x86_64" if name == "osx-64" else "aarch64"
        return Target(name, f"{processor}-apple-darwin", {"macos": str(asked.get("macos", _OLDEST_MACOS))})
    return Target(name, "x86_64-pc-windows-msvc", cuda)


class Locking:
    """Resolves plans into locks. Asks package indexes and channels; builds nothing, and runs no code of packages that
    have wheels."""

    def __init__(self, store: Store, settings: UserSettings, report: Report) -> None:
        self._store = store
        self._settings = settings
        self._report = report
        self._reachability = Reachability(settings)

    def environment(self, plan: BuildPlan, built: LockedEnvironment | None = None) -> LockedEnvironment:
        """The lock's part for the plan's platform. Raises BuildError: NO_CHANNEL, NO_PYTHON, and those of resolving.

        `built`: the result of a build of the same file on this platform, whose versions are taken as far as they go.
        """
        target = target_of(plan)
        with tempfile.TemporaryDirectory(prefix="comfy-env-lock-") as directory:
            workspace = Workspace(Path(directory))
            conda = built.conda if built is not None and built.conda else self._conda(plan, target, workspace)
            python = next((package.version for package in conda if package.name == "python"), _series(plan))
            needs = {name: version for name, version in target.offers.items() if name != "cuda"}
            return LockedEnvironment(
                platform=plan.platform.name,
                python=python,
                needs={**needs, **cuda_need(conda, plan)},
                follows=following(plan),
                channels=tuple(
                    sorted({str(one.record["channel"]) for one in conda if "channel" in one.record})
                ),
                conda=conda,
                pypi=self._pypi(plan, target, workspace, python, conda, built),
            )

    def _conda(self, plan: BuildPlan, target: Target, workspace: Workspace) -> tuple[CondaPackage, ...]:
        """Nothing, and a line about it, where no channel answers and only Python is wanted from there."""
        probes = {name: channel_probe_url(name, self._settings.conda_mirrors) for name in plan.channels}
        self._reachability.start(probes.values())
        silent = [
            name for name, url in probes.items() if not self._reachability.answers(url, self._report.check)
        ]
        needed = sorted(set(plan.conda) - NOT_WORTH_A_CHANNEL)
        if silent and needed:
            raise BuildError(
                BuildCause.NO_CHANNEL,
                f"Locking the conda packages {', '.join(needed)} failed: no answer from {', '.join(silent)}.",
                REMEDIES[BuildCause.NO_CHANNEL],
            )
        if silent:
            self._report.log(
                f"no answer from {', '.join(silent)}: the lock leaves open where Python {_series(plan)} comes from"
            )
            return ()
        tools = ensure_engine_packages(self._store, self._settings, self._report)
        phase = CondaPhase(plan, workspace.directory, tools, self._store, self._settings, self._report)
        return tuple(map(without_secrets, phase.solve(target.virtual_packages)))

    def _pypi(
        self,
        plan: BuildPlan,
        target: Target,
        workspace: Workspace,
        python: str,
        conda: tuple[CondaPackage, ...],
        built: LockedEnvironment | None,
    ) -> tuple[PypiPackage, ...]:
        tools = ensure_engine_packages(self._store, self._settings, self._report)
        uv = Uv(tools.uv, self._store, self._settings)
        options = ("--python-version", python, "--python-platform", target.uv)
        # The interpreter only asks uv's questions; what is resolved for stands in `options`.
        phase = PypiPhase(uv, plan, workspace, Path(sys.executable), python, False, self._report, options)
        added = {} if conda else {name: as_pypi(plan.conda[name]) for name in plan.conda if name != "python"}
        project = uv_project(plan, added=added)
        provided = {**_distributions(conda), **_stand_ins(plan)}
        known = {package.name: package.version for package in built.pypi} if built is not None else {}
        try:
            found = phase.resolve(project, provided, preferred=known)
        except BuildError as error:
            if not known or error.cause not in NOT_TOGETHER:
                raise
            self._report.log(f"{error} Resolving anew instead of taking what was built.")
            found = phase.resolve(project, provided)
        return tuple(self._published(package, project, plan) for package in found)

    def _published(self, package: PypiPackage, project: UvProject, plan: BuildPlan) -> PypiPackage:
        """The package as others can have it: without this user's mirrors, credentials and directories."""
        explicit = {normalised_name(line.name): line.index for line in project.lines}
        wheels = tuple(file for file in package.files if file.filename.endswith(".whl"))
        source = dict(package.source)
        directory = source.get("directory")
        if directory is not None:
            source["directory"] = {**directory, "path": _relative(directory["path"], plan.spec.path.parent)}
        index = explicit.get(package.name)
        files = wheels or package.files
        if index is None:
            has_mirror = has_own_index(self._settings)
            files = tuple(_published_file(file, has_mirror) for file in files)
        return dataclasses.replace(package, files=files, index=index, source=source)


def _relative(path: str, base: Path) -> str:
    try:
        return Path(os.path.relpath(path, base)).as_posix()
    except ValueError:  # on another drive of Windows
        return Path(path).as_posix()


def _published_file(file: IndexedFile, has_mirror: bool) -> IndexedFile:
    parts = urlsplit(file.url)
    place = _PYPI_PLACE.search(parts.path)
    if place is not None:
        return dataclasses.replace(file, url=PYPI_FILES + place[0])
    return dataclasses.replace(file, url="") if has_mirror or parts.scheme == "file" else file


def _series(plan: BuildPlan) -> str:
    """The minor version to resolve for where no conda Python says it. Raises BuildError where no known one fits."""
    wanted = PythonWanted(plan.python)
    if re.fullmatch(r"\d+\.\d+(\.\d+)?", plan.python):
        return ".".join(plan.python.split(".")[:2])
    mine = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for series in (mine, *(f"3.{minor}" for minor in range(14, 8, -1))):
        if wanted.accepts(f"{series}.99"):
            return series
    raise BuildError(
        BuildCause.NO_PYTHON,
        f"Locking {str(plan.spec.path)!r} failed: no known series of Python is inside {plan.python!r}.",
        'Name one series at the top of the file: python = "3.11".',
    )


def _distributions(conda: Iterable[CondaPackage]) -> dict[str, str]:
    """What the conda packages bring as Python distributions, as pixi guesses it: the same name, if they need Python."""
    return {
        pypi_name_of_conda(package.name): package.version
        for package in conda
        if package.record.get("noarch") == "python"
        or any(need.split()[0] in ("python", "python_abi") for need in package.depends)
    }


def _stand_ins(plan: BuildPlan) -> dict[str, str]:
    """A version for each package that follows the machine, so that what needs it can be resolved without it."""
    requirements = {normalised_name(name): requirement for name, requirement in plan.pypi.items()}
    return {name: _some_version(requirements[name]) for name in following(plan)}


def _some_version(requirement: object) -> str:
    """One inside the range: the exact one, or where it begins, or a very late one."""
    assert isinstance(requirement, str | Mapping)
    exact = exact_version(requirement)
    begin = re.search(r"(?:>=|~=)\s*(\d[\d.]*)", range_of(requirement) or "")
    return exact or (begin[1].rstrip(".") if begin else "999")
