"""Why uv failed, found by asking questions of our own: do the indexes answer, is there a file that runs here, which
requirements exclude each other. uv's words are shown to people; nothing is decided by them.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from comfy_env_core.building.commands import Completed
from comfy_env_core.building.engines.availability import Target
from comfy_env_core.building.engines.cache_repair import is_cached
from comfy_env_core.building.engines.published_files import check_locked_file, check_newest_file
from comfy_env_core.building.engines.questions import Asked, Questions
from comfy_env_core.building.engines.smallest_conflict import OutOfTime, smallest_conflict
from comfy_env_core.building.engines.uv_project import Line, UvProject
from comfy_env_core.building.engines.version_range import VersionRange
from comfy_env_core.building.errors import BuildCause, BuildError, DamagedFiles
from comfy_env_core.building.locks.model import PypiPackage
from comfy_env_core.building.requirements import normalised_name, split_requirement_line
from comfy_env_core.building.site_packages import dist_infos
from comfy_env_core.building.user_settings import redact

if TYPE_CHECKING:  # pypi_phase imports this module
    from comfy_env_core.building.engines.pypi_phase import PypiPhase

#: For finding out who excludes whom; after that the whole list is named.
_CONFLICT_S = 30.0
#: What the phase hands to uv beside the requirements: options, and files of the same names in the workspace.
_BESIDE = ("constraints", "overrides")


def explain_compile(phase: PypiPhase, project: UvProject, completed: Completed) -> BuildError:
    """The cause of a failed `uv pip compile`, from the machine over servers and names to what excludes what."""
    questions = _questions(phase, project, "Choosing Python packages", completed)
    # Whether one with a condition is wanted here at all, uv knows.
    asked = [_asked(line) for line in project.lines if line.is_from_index and ";" not in line.text]
    return (
        questions.about_the_machine()
        or questions.about_indexes(asked)
        or _by_places(phase, project, questions)
        or _by_smallest_conflict(phase, project, questions)
    )


def explain_install(phase: PypiPhase, wanted: Sequence[PypiPackage], completed: Completed) -> BuildError:
    """The cause of a failed `uv pip install` of a lock: the machine, a file that cannot be had, or a wrong one."""
    questions = _questions(phase, None, "Installing Python packages", completed)
    by_machine = questions.about_the_machine()
    if by_machine:
        return by_machine
    missing = [package for package in wanted if not _is_installed(package, phase.workspace.prefix)]
    cached = [package for package in missing if is_cached(package.name, package.version, phase.uv.cache_dir)]
    to_fetch = [package for package in missing if package not in cached]
    for url in {urlsplit(url).hostname: url for package in to_fetch for url in package.urls[:1]}.values():
        trouble = questions.fetcher().trouble(url) if url.startswith("http") else None
        if trouble is not None:
            return questions.error(trouble.cause, trouble.message, trouble.remedy)
    built = [f"{package.name} {package.version}".strip() for package in to_fetch if package.must_be_built]
    if built:
        return questions.not_built(_named_by_uv(completed, "Failed to build") or ", ".join(built))
    wrong = next((error for package in to_fetch if (error := check_locked_file(package, questions))), None)
    if wrong is not None:
        return wrong
    if to_fetch:
        names = ", ".join(package.name for package in to_fetch)
        return questions.error(BuildCause.NETWORK, f"the download of {names} broke off.")
    # uv keeps what it fetched also where the checksum is not the one that a lock names.
    fetched = (check_locked_file(package, questions) for package in cached)
    changed = next((error for error in fetched if error and error.cause is BuildCause.CHECKSUM), None)
    if changed is not None:
        return changed
    # All of it is in uv's cache, and is unpacked there already: what uv cannot install of it is damaged. It stops at
    # the first damage, which may be in something that looks installed, so all of the lock is suspected.
    damaged = tuple(
        package.name for package in wanted if is_cached(package.name, package.version, phase.uv.cache_dir)
    )
    return DamagedFiles(
        damaged,
        f"Installing Python packages failed: what the cache holds of {', '.join(damaged)} is damaged.",
        tail=completed.tail(),
    )


def conda_conflict(project: UvProject, provided: Mapping[str, str]) -> BuildError | None:
    """A requirement that the conda package of the same name cannot meet, found before uv is asked.

    `provided`: the distributions that conda put into the prefix, normalised name → version.
    """
    for line in project.lines:
        version = provided.get(normalised_name(line.name))
        if version is not None and line.is_from_index and not VersionRange(line.range).accepts(version):
            text = (
                f"Choosing Python packages failed: {line.text!r} is asked for, and the conda packages bring "
                f"{line.name} {version}."
            )
            return BuildError(
                BuildCause.CONFLICT, text, "Ask for it once, or loosen one of the two versions."
            )
    return None


def _questions(phase: PypiPhase, project: UvProject | None, doing: str, completed: Completed) -> Questions:
    """With the user's settings and the places that the plan adds."""
    settings = phase.uv.settings
    return Questions(
        doing,
        completed,
        settings if project is None else settings.with_places(project.environment),
        Target(phase.python_version, phase.plan.platform),
        (phase.workspace.directory, *(p for p in (phase.uv.store.root, phase.uv.cache_dir) if p.exists())),
        phase.report,
    )


def _asked(line: Line) -> Asked:
    return Asked(line.name, line.range, line.text, line.index)


def _by_places(phase: PypiPhase, project: UvProject, questions: Questions) -> BuildError | None:
    """A path, a URL or a repository that is not to be had, or that cannot be built by itself."""
    places = [line for line in project.lines if not line.is_from_index]
    for line in places:
        error = _by_place(line, questions)
        if error is not None:
            return error
    for line in places:
        if not _fits(phase, project, (line,), "--no-deps"):
            return questions.not_built(line.name)
    return None


def _by_place(line: Line, questions: Questions) -> BuildError | None:
    if "path" in line.source and not Path(line.source["path"]).exists():
        return questions.error(
            BuildCause.CONFIG, f"the path of {line.name!r} does not exist: {line.source['path']!r}."
        )
    if "git" in line.source and shutil.which("git", path=questions.settings.environ.get("PATH")) is None:
        return questions.error(
            BuildCause.CONFIG,
            f"{line.name!r} comes from {redact(str(line.source['git']))!r}, and git is not installed.",
            "Install git, then build again.",
        )
    git = f"{str(line.source.get('git', '')).rstrip('/')}/info/refs?service=git-upload-pack"
    place = str(line.source.get("url") or git)
    trouble = questions.fetcher().trouble(place) if place.startswith("http") else None
    if trouble is None:
        return None
    return questions.error(trouble.cause, f"{line.name!r} cannot be had. {trouble.message}", trouble.remedy)


def _by_smallest_conflict(phase: PypiPhase, project: UvProject, questions: Questions) -> BuildError:
    """Every requirement has a file that fits here. uv ends with 1 for "no solution" and failed builds, with 2 for all
    else."""
    if questions.completed.returncode == 2:
        return questions.error(
            BuildCause.NETWORK, "something that the listed packages need in turn could not be fetched."
        )
    deadline = time.monotonic() + _CONFLICT_S

    def fits(lines: Sequence[Line]) -> bool:
        if time.monotonic() > deadline:
            raise OutOfTime
        return _fits(phase, project, tuple(lines))

    try:
        culprits = smallest_conflict(project.lines, fits)
    except OutOfTime:
        culprits = project.lines
    said = _explanation(questions.completed, f"env-{phase.plan.environment_id}")
    if len(culprits) == 1:
        return _by_what_it_needs(phase, project, culprits[0], said, questions)
    if not culprits:
        return questions.error(BuildCause.NETWORK, "it worked a moment later.")
    names = " and ".join(repr(line.text) for line in culprits[:5])
    more = f" (and {len(culprits) - 5} more)" if len(culprits) > 5 else ""
    return questions.error(BuildCause.CONFLICT, f"{names}{more} cannot be had together.{said}")


def _by_what_it_needs(
    phase: PypiPhase, project: UvProject, line: Line, said: str, questions: Questions
) -> BuildError:
    """One requirement that cannot be met although it has a file that fits."""
    settled = _settled(phase.workspace.directory)
    by_file = check_newest_file(_asked(line), questions, settled) if line.is_from_index else None
    if by_file is not None:
        return by_file
    if not _fits(phase, project, (line,), "--no-deps"):
        return questions.not_built(repr(line.text))
    without_building = _fits(phase, project, (line,), "--only-binary", ":all:")
    named = _named_by_uv(questions.completed, "Failed to build")
    if without_building or named:
        own = named is not None and normalised_name(named.partition(" ")[0]) == normalised_name(line.name)
        return questions.not_built(
            named if named and own else f"{named or 'a package'}, needed by {line.text!r},"
        )
    return questions.error(BuildCause.CONFLICT, f"what {line.text!r} needs in turn cannot be had.{said}")


def _fits(phase: PypiPhase, project: UvProject, lines: tuple[Line, ...], *options: str) -> bool:
    """Whether uv finds a solution for these lines alone, beside the same conda packages and overrides."""
    phase.report.check()
    workspace = phase.workspace.directory
    directory = workspace / "question"
    directory.mkdir(exist_ok=True)
    try:
        text = project.pyproject(phase.plan.environment_id, phase.python_version, lines)
        (directory / "pyproject.toml").write_text(text, encoding="utf-8")
        files: list[str | Path] = [
            part
            for name in _BESIDE
            if (workspace / f"{name}.txt").exists()
            for part in (f"--{name}", workspace / f"{name}.txt")
        ]
        if (workspace / "conda-stubs").exists():
            files += ["--find-links", workspace / "conda-stubs"]
        arguments: list[str | Path] = ["pip", "compile", "-q", *options, "--python", phase.python]
        arguments += [*phase.target, *project.resolver_options, *project.options, *files, "pyproject.toml"]
        completed = phase.uv.run(
            arguments, report=phase.report, cwd=directory, extra=project.environment, on_line=_ignore
        )
        return completed.returncode == 0
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _settled(workspace: Path) -> frozenset[str]:
    """The names in the files of constraints (what conda brings) and overrides."""
    files = (workspace / f"{name}.txt" for name in _BESIDE)
    lines = (
        line for file in files if file.exists() for line in file.read_text(encoding="utf-8").splitlines()
    )
    return frozenset(normalised_name(parts[0]) for line in lines if (parts := split_requirement_line(line)))


def _is_installed(package: PypiPackage, prefix: Path) -> bool:
    return any(normalised_name(path.name.split("-")[0]) == package.name for path in dist_infos(prefix))


def _explanation(completed: Completed, project: str) -> str:
    """uv's own account of a conflict, for people: " uv says: Because …"; "" where it gives none.

    `project`: uv's name for the whole, which means nothing to anybody else.
    """
    words = " ".join(re.sub(r"[×╰─▶│├]+", " ", line).strip() for line in completed.lines)
    words = words.replace(project, "the pack")
    match = re.search(r"Because .*?(?=( hint:|$))", re.sub(r"\s+", " ", words))
    return f" uv says: {match[0].rstrip('. ')}." if match else ""


def _named_by_uv(completed: Completed, before: str) -> str | None:
    """The package that uv names behind these words, for people."""
    match = next((m for line in completed.lines if (m := re.search(f"{before} `([^`]+)`", line))), None)
    return match[1].partition(" @ ")[0].replace("==", " ") if match else None


def _ignore(line: str) -> None:
    """The output of a question to uv is not part of the build's log."""
