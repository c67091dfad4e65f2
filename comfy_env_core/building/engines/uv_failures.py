"""Why uv failed, found by asking questions of our own: does the index answer, does it know the name, can this one
requirement be met alone, is there a compiler. uv's wording is shown to people and decides only the very last case.
"""

from __future__ import annotations

import concurrent.futures
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from comfy_env_core.building.commands import Completed
from comfy_env_core.building.engines.uv_project import Line, UvProject
from comfy_env_core.building.engines.version_range import VersionRange
from comfy_env_core.building.errors import BuildCause, BuildError
from comfy_env_core.building.fetching import Fetcher
from comfy_env_core.building.locks.model import PypiPackage
from comfy_env_core.building.requirements import normalised_name
from comfy_env_core.building.simple_index import IndexFile, offered_files, project_files
from comfy_env_core.building.user_settings import UserSettings, redact

if TYPE_CHECKING:  # pypi_phase imports this module
    from comfy_env_core.building.engines.pypi_phase import PypiPhase

_QUESTIONS_S = 20.0
_LITTLE_DISK_BYTES = 64 << 20
_COMPILERS = ("cc", "gcc", "clang", "cl")


def explain_compile(phase: PypiPhase, project: UvProject, completed: Completed) -> BuildError:
    """The cause of a failed `uv pip compile`: disk, network, a name, a version, a place, or a conflict."""
    return (
        _by_disk_or_signal(phase, completed, "Resolving")
        or _by_index(phase, project, completed)
        or _by_single_lines(phase, project, completed)
        or _by_the_whole(phase, completed)
    )


def explain_install(phase: PypiPhase, wanted: Sequence[PypiPackage], completed: Completed) -> BuildError:
    """The cause of a failed `uv pip install` of a lock: disk, an unreachable file host, or a build from source."""
    by_disk = _by_disk_or_signal(phase, completed, "Installing")
    if by_disk:
        return by_disk
    missing = [package for package in wanted if not _is_installed(package, phase.workspace.prefix)]
    for host, url in {urlsplit(url).hostname: url for package in missing for url in package.urls[:1]}.items():
        if url.startswith("http") and not Fetcher(_settings(phase), timeout_s=5.0).answers(url):
            return _error(
                BuildCause.NETWORK,
                f"Downloading from {host} failed: {redact(url)!r} cannot be had.",
                completed,
            )
    built = [f"{package.name} {package.version}".strip() for package in missing if package.must_be_built]
    if built:
        return _not_built(", ".join(built), phase, completed)
    names = ", ".join(package.name for package in missing) or "the PyPI packages"
    return _error(
        BuildCause.INTERNAL, f"Installing {names} failed: uv ended with {completed.returncode}.", completed
    )


def _by_disk_or_signal(phase: PypiPhase, completed: Completed, what: str) -> BuildError | None:
    free = shutil.disk_usage(phase.workspace.directory).free
    if free < _LITTLE_DISK_BYTES:
        return _error(
            BuildCause.DISK_FULL,
            f"{what} the PyPI packages failed: {free >> 20} MB of disk are left.",
            completed,
        )
    if completed.returncode < 0:
        text = f"{what} the PyPI packages stopped: uv was ended by signal {-completed.returncode}."
        return _error(BuildCause.KILLED, text, completed)
    return None


def conda_conflict(project: UvProject, provided: Mapping[str, str]) -> BuildError | None:
    """A requirement that the conda package of the same name cannot meet, found before uv is asked.

    `provided`: the distributions that conda put into the prefix, normalised name → version.
    """
    for line in project.lines:
        version = provided.get(normalised_name(line.name))
        if version is not None and line.is_from_index and not VersionRange(line.range).accepts(version):
            text = (
                f"Resolving the PyPI packages failed: {line.text!r} is asked for, and the conda packages bring "
                f"{line.name} {version}."
            )
            return BuildError(
                BuildCause.CONFLICT, text, "Ask for it once, or loosen one of the two versions."
            )
    return None


def _by_index(phase: PypiPhase, project: UvProject, completed: Completed) -> BuildError | None:
    """Names that no index knows, ranges that no release satisfies, or indexes that do not answer."""
    lines = [line for line in project.lines if line.is_from_index]
    deadline = time.monotonic() + _QUESTIONS_S
    with concurrent.futures.ThreadPoolExecutor(4, "comfy-env-questions") as executor:
        answers = executor.map(lambda line: _offers(line, _settings(phase, project), deadline), lines)
        offers = list(zip(lines, answers, strict=True))
    failed = next((answer for _, answer in offers if isinstance(answer, BuildError)), None)
    if failed is not None:
        return _error(BuildCause.NETWORK, failed.message, completed)
    unknown = [line.name for line, files in offers if files == ()]
    if unknown:
        text = f"Resolving the PyPI packages failed: no index knows {', '.join(map(repr, unknown))}."
        return _error(BuildCause.NO_SUCH_PACKAGE, text, completed)
    absent = [
        line.text
        for line, files in offers
        if isinstance(files, tuple) and not any(VersionRange(line.range).accepts(_version(f)) for f in files)
    ]
    if absent:
        text = f"Resolving the PyPI packages failed: no release fits {', '.join(map(repr, absent))}."
        return _error(BuildCause.NO_SUCH_PACKAGE, text, completed)
    return None


def _by_single_lines(phase: PypiPhase, project: UvProject, completed: Completed) -> BuildError | None:
    """Places that are not there, and requirements that cannot be met even when nothing else is asked for."""
    for line in project.lines:
        unreachable = _by_place(phase, line, completed)
        if unreachable is not None:
            return unreachable
    for line in project.lines:
        if _can_be_met_alone(phase, project, line):
            continue
        if line.is_from_index:
            text = (
                f"Resolving the PyPI packages failed: {line.text!r} has no wheel for Python {phase.python_version} on "
                f"{phase.plan.platform.name}, and no source that builds here."
            )
            return _error(BuildCause.NO_MATCHING_WHEEL, text, completed)
        return _not_built(line.name, phase, completed)
    return None


def _can_be_met_alone(phase: PypiPhase, project: UvProject, line: Line) -> bool:
    directory = phase.workspace.directory / "question"
    directory.mkdir(exist_ok=True)
    try:
        text = project.pyproject(phase.plan.environment_id, phase.python_version, (line,))
        (directory / "pyproject.toml").write_text(text, encoding="utf-8")
        arguments: list[str | Path] = [
            "pip",
            "compile",
            "-q",
            "--no-deps",
            "--python",
            phase.python,
            *phase.target,
            *project.resolver_options,
            *project.options,
            "pyproject.toml",
        ]
        completed = phase.uv.run(
            arguments, report=phase.report, cwd=directory, extra=project.environment, on_line=_ignore
        )
        return completed.returncode == 0
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _ignore(line: str) -> None:
    """The output of a question to uv is not part of the build's log."""


def _by_place(phase: PypiPhase, line: Line, completed: Completed) -> BuildError | None:
    """A path, a URL or a repository that is not to be had."""
    if "path" in line.source and not Path(line.source["path"]).exists():
        text = f"The path of {line.name!r} does not exist: {line.source['path']!r}."
        return _error(BuildCause.CONFIG, text, completed)
    if "git" in line.source and shutil.which("git", path=phase.uv.settings.environ.get("PATH")) is None:
        text = f"Fetching {line.name!r} from {redact(str(line.source['git']))!r} needs git, which is not installed."
        return _error(BuildCause.CONFIG, text, completed)
    git = f"{str(line.source.get('git', '')).rstrip('/')}/info/refs?service=git-upload-pack"
    place = str(line.source.get("url") or git)
    if place.startswith("http") and not Fetcher(_settings(phase), timeout_s=5.0).answers(place):
        text = f"Fetching {line.name!r} failed: {redact(place)!r} does not answer, or is not there."
        return _error(BuildCause.NETWORK, text, completed)
    return None


def _by_the_whole(phase: PypiPhase, completed: Completed) -> BuildError:
    """Each requirement can be met alone. uv ends with 1 for "no solution" and failed builds, with 2 for the rest."""
    if completed.returncode == 2:
        text = "Resolving the PyPI packages failed while fetching what the listed packages need in turn."
        return _error(BuildCause.NETWORK, text, completed)
    if not any("No solution found" in line for line in completed.lines):
        return _not_built("a package that another one needs", phase, completed)
    text = "Resolving the PyPI packages failed: each requirement can be met, all of them together cannot."
    return _error(BuildCause.CONFLICT, text, completed)


def _not_built(what: str, phase: PypiPhase, completed: Completed) -> BuildError:
    where = f"Python {phase.python_version} on {phase.plan.platform.name}"
    if not any(shutil.which(name, path=phase.uv.settings.environ.get("PATH")) for name in _COMPILERS):
        text = f"There is no wheel of {what} for {where}, and no compiler to build it with."
        return _error(BuildCause.NO_COMPILER, text, completed)
    text = f"There is no wheel of {what} for {where}, and building it from source failed."
    return _error(BuildCause.NO_MATCHING_WHEEL, text, completed)


_REMEDIES = {
    BuildCause.NETWORK: "Check the connection, or the index, proxy and certificate in pip's or uv's configuration.",
    BuildCause.NO_SUCH_PACKAGE: "Correct the name or version under [pypi-dependencies], or add the index that has it.",
    BuildCause.NO_MATCHING_WHEEL: "Allow another version of it, or choose a Python that it has wheels for.",
    BuildCause.CONFLICT: "Loosen one of the versions that the log names.",
    BuildCause.NO_COMPILER: "Install a compiler (Debian: build-essential, macOS: xcode-select --install, Windows: "
    "Visual Studio Build Tools), or ask for a version that has a wheel.",
    BuildCause.CONFIG: "Correct the line under [pypi-dependencies], then build again.",
    BuildCause.DISK_FULL: "Make room or move the store with COMFY_ENV_ROOT, then build again.",
    BuildCause.KILLED: "Most often the system ran out of memory: close other programs and build again.",
    BuildCause.INTERNAL: "Build again; if it stays, report this with the log.",
}


def _error(cause: BuildCause, text: str, completed: Completed) -> BuildError:
    return BuildError(
        cause, text, _REMEDIES[cause], tail=tuple(redact(line) for line in completed.lines[-20:])
    )


def _offers(line: Line, settings: UserSettings, deadline: float) -> tuple[IndexFile, ...] | BuildError:
    """The files of one project, () if no index knows it, the error if none answers."""
    fetcher = Fetcher(settings, timeout_s=5.0, deadline=deadline)
    try:
        if line.index:
            return project_files(line.index, line.name, fetcher)
        return tuple(offered_files(line.name, settings, fetcher, is_strict=True))
    except BuildError as error:
        return error


def _settings(phase: PypiPhase, project: UvProject | None = None) -> UserSettings:
    """The user's settings with the places that the plan adds."""
    settings = phase.uv.settings
    return settings if project is None else settings.with_places(project.environment)


def _version(file: IndexFile) -> str:
    """The version in a wheel's or an archive's name."""
    name = file.filename
    if name.endswith(".whl"):
        return name.split("-")[1] if name.count("-") > 1 else ""
    return name.removesuffix(".tar.gz").removesuffix(".zip").rpartition("-")[2]


def _is_installed(package: PypiPackage, prefix: Path) -> bool:
    for pattern in ("lib/python3*/site-packages/*.dist-info", "Lib/site-packages/*.dist-info"):
        for directory in prefix.glob(pattern):
            if normalised_name(directory.name.split("-")[0]) == package.name:
                return True
    return False
